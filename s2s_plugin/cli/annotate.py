"""``s2s annotate``: factors of words from plain text, in the format of ``subword.factors``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from s2s_plugin.corpora.directions import file_language
from s2s_plugin.errors import UserError
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.stream import decode
from s2s_plugin.text.annotate import LANGUAGES, NAMES, annotate_line, check_annotation
from s2s_plugin.text.normalize import normalize
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.compression import open_binary


def run(words: Sequence[str]) -> int:
    """Run ``s2s annotate``: print a line for each line."""
    parser = argparse.ArgumentParser("s2s annotate", description=__doc__)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="texts, one sentence per line; default: standard input"
    )
    parser.add_argument("--factors", default="pos", help=f"some of {','.join(NAMES)}; default: pos")
    parser.add_argument("--language", help=f"{', '.join(LANGUAGES)}; default: the ending of the first file's name")
    options = parser.parse_args(words)
    names = tuple(options.factors.split(","))
    language = options.language or (file_language(options.files[0]) if options.files else "")
    if not language and set(names) != {"case"}:
        raise UserError("--language is required with standard input: --language de")
    check_annotation(names, language)
    with report_failures("lines") as fail:
        for where, raw in _lines(options.files):
            line = decode(raw)
            if isinstance(line, UserError):
                fail(where, line)
                line = ""
            print(annotate_line(normalize(line), names, language), flush=sys.stdin.isatty() and not options.files)
            interrupt.check()
    return 0


def _lines(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for name in files or ["standard input"]:
        with open_binary(Path(name)) if files else nullcontext(sys.stdin.buffer) as file:
            for number, raw in enumerate(file, start=1):
                yield f"{name}, line {number}", raw.rstrip(b"\n")
