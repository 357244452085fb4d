"""Decode lines of text as they come: ``s2s translate``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.directions import tagger
from s2s_plugin.errors import UserError
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.interactive import MEDIA
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.stream import Line, decode, windows
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import say

LIKE_FILE = re.compile(r"\S+\.[a-z]{2,4}")  # one word with the ending of a file
START = re.compile(r"\A[\s\ufeff]+")  # files that were joined have more than one byte order mark
WINDOW = 256  # lines for each process, to be sorted by length


def translate(cfg: DictConfig, run: RunDir, inputs: Sequence[str] = ()) -> None:
    """Decode lines to lines of standard output, each window before waiting for the next.

    ``inputs``: files and sentences; standard input if there are none.

    Raises:
        UserError: at the end, if some lines were unusable; each has been named, and its output is empty.
    """
    _check_files(inputs)
    translator = load_translator(cfg, run)
    if translator.task.modality != "text":
        command = next(name for name, modality in MEDIA.items() if modality == translator.task.modality)
        raise UserError(
            f"s2s translate requires a text model, and {run.folder} reads {translator.task.modality}; "
            f"run s2s {command} FILE ... app={cfg.app}"
        )
    if not inputs and sys.stdin.isatty():
        say(f"{run.folder}: type a sentence, end with Ctrl-D")
    words: Sequence[str | None] = inputs or [None]
    max_lines, answered = max(2, translator.max_workers) * WINDOW, 0
    with report_failures("lines") as fail:
        reader = SourceReader(translator, cfg, fail)
        for word in words:
            for window in _windows(word, max_lines):
                sources = [reader.read(where, line) for where, line in window]
                for hypothesis in translator.translate(sources, answered):
                    print(hypothesis.text)
                sys.stdout.flush()
                interrupt.check()
                answered += len(window)


class SourceReader:
    """Turn lines into sources of the model, and say what it cannot read of them."""

    def __init__(self, translator: Translator, cfg: DictConfig, fail: Callable[[str, Exception], None]):
        several = "+" in f"{cfg.task.source_lang}{cfg.task.target_lang}"
        codec = translator.task.codec
        self.translator, self.fail = translator, fail
        self.add_tag = tagger(translator.task.source_dictionary.symbols, cfg.translate_to, several)
        self.keeps_blanks = codec is not None and codec.source.lossless
        self.named: set[str] = set()  # words that the vocabulary lacks

    def read(self, where: str, line: Line) -> str:
        """Return a source; an empty one for an empty line, and for an unusable one, which is reported.

        Raises:
            UserError: the language is missing.
        """
        if isinstance(line, UserError):
            self.fail(where, line)
            return ""
        text = line if self.keeps_blanks else START.sub("", line).rstrip()
        if not text:
            return ""
        text, translator = self.add_tag(text), self.translator
        try:
            translator.constraints(text)
        except UserError as error:
            self.fail(where, error)
            return ""
        tokens = len(translator.encode(text)) - 1  # without </s>
        if tokens > (limit := translator.max_source_tokens):
            say(f"{where}: truncated to {limit:,} of {tokens:,} tokens; split it")
        if unknown := [word for word in translator.unknown(text) if word not in self.named]:
            say(f"{where}: not in the vocabulary: {' '.join(unknown)}")
            self.named.update(unknown)
        return text


def _windows(word: str | None, max_lines: int) -> Iterator[list[tuple[str, Line]]]:
    """Yield the lines of standard input (None), of a file, or of a text on the command line."""
    if word is None:
        yield from windows(sys.stdin.fileno(), max_lines)
    elif _is_file(word):
        try:
            with Path(word).open("rb") as file:
                yield from windows(file.fileno(), max_lines, word)
        except OSError as error:
            yield [(word, UserError(f"cannot be read ({error.strerror})"))]
    else:
        yield [(word, decode(line)) for line in os.fsencode(word).split(b"\n")]


def _check_files(inputs: Sequence[str]) -> None:
    for word in inputs:
        if LIKE_FILE.fullmatch(word) and not _is_file(word):
            raise UserError(f"{word}: there is no such file; a sentence that looks like one goes to standard input")


def _is_file(word: str) -> bool:
    try:
        return Path(word).exists() and not Path(word).is_dir()
    except OSError:  # a sentence longer than any name
        return False
