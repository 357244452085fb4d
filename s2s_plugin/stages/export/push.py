"""Upload a packaged model to the Hugging Face hub, with its card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.package.hub import PREFIX, upload


def run(words: Sequence[str]) -> int:
    """Run ``s2s push``."""
    parser = argparse.ArgumentParser("s2s push", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.s2s")
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--private", action="store_true", help="if the repository is new")
    options = parser.parse_args(words)
    address = upload(options.file, options.repository, options.private)
    print(f"{address}: s2s translate model={PREFIX}{options.repository}")
    return 0
