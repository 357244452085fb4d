"""Decode lines of text as they come: ``s2s translate``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora import tables
from s2s_plugin.corpora.directions import tagger
from s2s_plugin.corpora.own_files import table_hint
from s2s_plugin.errors import UserError
from s2s_plugin.inference import long_lines
from s2s_plugin.inference.datastore import nearest
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.interactive import MEDIA
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.stream import Line, decode, windows
from s2s_plugin.inference.tokens import MAX_NEIGHBORS, neighbor_lines, token_lines, unknown_tokens
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.search.options import is_set
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.compression import plain_path
from s2s_plugin.utils.console import say

LIKE_FILE = re.compile(r"\S+\.[a-z]{2,4}")  # one word with the ending of a file
START = re.compile(r"\A[\s\ufeff]+")  # files that were joined have more than one byte order mark
ONE_COLUMN = "data.source_column=NUMBER translates one of its columns"
WINDOW = 256  # lines for each process, to be sorted by length


def translate(cfg: DictConfig, run: RunDir, inputs: Sequence[str] = ()) -> None:
    """Decode lines to lines of standard output, each window before waiting for the next.

    ``inputs``: files and sentences; standard input if there are none.

    Raises:
        UserError: at the end, if some lines were unusable; each has been named, and its output is empty.
    """
    check_inputs(inputs)
    translator = load_translator(cfg, run)
    if translator.task.modality != "text":
        command = next(name for name, modality in MEDIA.items() if modality == translator.task.modality)
        raise UserError(
            f"s2s translate requires a text model, and {run.folder} reads {translator.task.modality}; "
            f"run s2s {command} FILE ... app={cfg.app}"
        )
    invite(inputs, run)
    nbest, with_tokens = cfg.generation.nbest, cfg.generation.print_alignment is not None
    _check_window(cfg)
    words: Sequence[str | None] = inputs or [None]
    max_lines, answered = max(2, translator.max_workers) * WINDOW, 0
    with report_failures("lines") as fail:
        reader = SourceReader(translator, cfg, fail)
        for sources in chain.from_iterable(reader.windows(word, max_lines) for word in words):
            outputs = _decode(translator, cfg, sources, answered)
            for number, (source, hypotheses) in enumerate(zip(sources, outputs, strict=True), start=answered + 1):
                for hypothesis in hypotheses:
                    place = f"{number}\t{hypothesis.score:.2f}\t" if nbest > 1 or with_tokens else ""
                    print(f"{place}{hypothesis.text}")
                    if with_tokens and hypothesis.target_tokens:
                        print(*_explanation(translator, source, hypothesis), sep="\n")
            sys.stdout.flush()
            interrupt.check()
            answered += len(sources)


def _explanation(translator: Translator, source: str, hypothesis: Hypothesis) -> Iterator[str]:
    """Yield lines about the tokens of a hypothesis, and with ``task.knn`` about the states that spoke for them."""
    yield from token_lines(hypothesis, translator.source_tokens(source))
    if translator.task.cfg.knn is not None:
        states = nearest(translator, translator.encode(source), hypothesis, MAX_NEIGHBORS)
        yield from neighbor_lines(hypothesis.target_tokens, states)


def check_inputs(inputs: Sequence[str]) -> None:
    """Raise UserError if a word of the command line is neither a sentence nor a file that is there."""
    for word in inputs:
        if os.path.isdir(word):  # noqa: PTH112 (takes any length)
            raise UserError(f"{word}: is a folder; name its files, or give the sentence on standard input")
        if LIKE_FILE.fullmatch(word) and not _is_file(word):
            raise UserError(f"{word}: there is no such file; a sentence that looks like one goes to standard input")


def invite(inputs: Sequence[str], run: RunDir) -> None:
    """Say that a terminal is waited for, unless there are inputs."""
    if not inputs and sys.stdin.isatty():
        say(f"{run.folder}: type a sentence, end with Ctrl-D")


class SourceReader:
    """Turn the lines of a user into sources of the model, and say what it cannot read of them.

    ``with_outputs``: a line may go on with a tab and an output, which is returned as it is.
    """

    def __init__(
        self,
        translator: Translator,
        cfg: DictConfig,
        fail: Callable[[str, Exception], None],
        with_outputs: bool = False,
    ):
        several = "+" in f"{cfg.task.source_lang}{cfg.task.target_lang}"
        codec = translator.task.codec
        self.translator, self.cfg, self.fail, self.with_outputs = translator, cfg, fail, with_outputs
        self.add_tag = tagger(translator.task.source_dictionary.symbols, cfg.translate_to, several)
        self.keeps_blanks = codec is not None and codec.source.lossless
        self.named: set[str] = set()  # words that the vocabulary lacks

    def windows(self, word: str | None, max_lines: int) -> Iterator[list[str]]:
        """Yield the sources in standard input (None), a file, a column of a table, or a text on the command line.

        An empty line and an unusable one, which is reported, have an empty source.
        """
        try:
            for window in self._lines(word, max_lines):
                yield [self._source(where, line) for where, line in window]
        except OSError as error:
            self.fail(str(word), UserError(f"cannot be read ({error.strerror})"))
        except UserError as error:
            self.fail(word or "standard input", error)

    def _lines(self, word: str | None, max_lines: int) -> Iterator[list[tuple[str, Line]]]:
        if word is None:
            yield from windows(sys.stdin.fileno(), max_lines)
            return
        if not _is_file(word):
            yield [(word, decode(line)) for line in os.fsencode(word).split(b"\n")]
            return
        path, column = Path(word), self.cfg.data.source_column
        is_table = plain_path(path).suffix.lower() in tables.ENDINGS
        if not is_table and not self.cfg.generation.constraints and (hint := table_hint(path, ONE_COLUMN)):
            is_table = column is not None
            if not is_table:
                say(hint)
        if is_table:
            cells = tables.read_sources(path, column, self.cfg.task.source_lang)
            try:
                while window := list(islice(cells, max_lines)):
                    yield window
            except UserError as error:
                raise UserError(f"{error}; for its lines as they are, s2s translate < {path}") from None
        else:
            with path.open("rb") as file:
                yield from windows(file.fileno(), max_lines, word)

    def _source(self, where: str, line: Line) -> str:
        if isinstance(line, UserError):
            self.fail(where, line)
            return ""
        output = ""
        if self.with_outputs:
            line, *outputs = line.split("\t", 1)
            output = "\t".join(["", *outputs])
        text = line if self.keeps_blanks else START.sub("", line).rstrip()
        if not text:
            return ""
        text, translator = self.add_tag(text), self.translator
        try:
            translator.constraints(text)
        except UserError as error:
            self.fail(where, error)
            return ""
        parts = [part for part, _ in long_lines.cut(text, self.cfg.window)] if self.cfg.window else [text]
        tokens = max(len(translator.encode(part)) for part in parts) - 1  # without </s>
        if tokens > (limit := translator.max_source_tokens):
            say(f"{where}: truncated to {limit:,} of {tokens:,} tokens; split it, or set window=WORDS")
        if unknown := [each for each in unknown_tokens(translator, text) if each not in self.named]:
            say(f"{where}: not in the vocabulary: {' '.join(unknown)}")
            self.named.update(unknown)
        return text + output


def _decode(translator: Translator, cfg: DictConfig, sources: list[str], first: int) -> list[list[Hypothesis]]:
    """Return the hypotheses of each source; ``first``: number of the first one."""
    if cfg.window:
        return long_lines.translate(translator, sources, first, cfg.window)
    return translator.candidates(sources, first, cfg.generation.nbest)


def _check_window(cfg: DictConfig) -> None:
    """Raise UserError if lines cannot be read in windows."""
    if cfg.window == 0:
        return
    if cfg.window < long_lines.MIN_WINDOW:
        raise UserError(f"window must be 0 or at least {long_lines.MIN_WINDOW} words, got {cfg.window}")
    for name in ("nbest", "print_alignment", "constraints"):
        if is_set(cfg.generation, name):
            raise UserError(f"window and generation.{name} are mutually exclusive")
    if "+" in f"{cfg.task.source_lang}{cfg.task.target_lang}":
        raise UserError("window requires a model of one direction")


def _is_file(word: str) -> bool:
    return os.path.exists(word)  # noqa: PTH110 (takes any length)
