"""Explore a trained model in the browser."""

from __future__ import annotations

import argparse
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.server.serve import PACKAGES, answer, listen, load_models
from s2s_plugin.utils.console import say

HOST = "127.0.0.1"


def run(words: Sequence[str]) -> int:
    """Run ``s2s demo``."""
    parser = argparse.ArgumentParser("s2s demo", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="RUN", help="folders of runs, or packaged models")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument("--precision", default="int8", help="of the decoder's products: fp32, bf16 or int8")
    parser.add_argument("--no-browser", action="store_true", help="print the address alone")
    options = parser.parse_args(words)
    check_installed("s2s demo", "serve", PACKAGES)
    from s2s_plugin.server.app import create_app

    app = create_app(load_models(options.files, options.precision))
    listener = listen(HOST, options.port)  # a browser that comes early waits here
    address = f"http://{HOST}:{listener.getsockname()[1]}/"
    say(f"      {address}  (Ctrl-C ends)")
    if not options.no_browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    answer(app, listener)
    return 0
