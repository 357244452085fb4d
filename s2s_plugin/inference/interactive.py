"""Use a trained run: decode lines of standard input, words, or media files and folders."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from omegaconf import DictConfig

from s2s_plugin.corpora.directions import tagger
from s2s_plugin.datasets.frontends.video import IMAGE_SUFFIXES, natural_key
from s2s_plugin.datasets.manifest import existing_path
from s2s_plugin.errors import UserError, visible
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.stream import windows
from s2s_plugin.inference.translator import Translator
from s2s_plugin.search.options import check_without_targets
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import say
from s2s_plugin.utils.workers import Workers

LIKE_FILE = re.compile(r"\S+\.[a-z]{2,4}")  # one word with the ending of a file
MEDIA = {"transcribe": "audio", "lipread": "video", "caption": "image"}  # command to modality
WINDOW = 256  # lines for each process, to be sorted by length
SUFFIXES = {  # of the files to take from a folder
    "audio": (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"),
    "video": (".mp4", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".webm"),
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
}


def translate(cfg: DictConfig, run: RunDir, inputs: Sequence[str] = ()) -> None:
    """Decode lines to lines of standard output, each window before waiting for the next.

    ``inputs``: files and sentences; standard input if there are none.
    """
    _check_files(inputs)
    translator = _translator(cfg, run)
    if translator.task.modality != "text":
        command = next(name for name, modality in MEDIA.items() if modality == translator.task.modality)
        raise UserError(
            f"s2s translate requires a text model, and {run.folder} reads {translator.task.modality}; "
            f"run s2s {command} FILE ... app={cfg.app}"
        )
    several = "+" in f"{cfg.task.source_lang}{cfg.task.target_lang}"
    add_tag = tagger(translator.task.source_dictionary.symbols, cfg.translate_to, several)
    codec = translator.task.codec
    keeps_spaces = codec is not None and codec.source is not None and codec.source.lossless
    if not inputs and sys.stdin.isatty():
        say(f"{run.folder}: type a sentence, end with Ctrl-D")

    def parse(line: str) -> tuple[str, int]:
        """Return the line with its tag, and its number of tokens; an empty line stays empty."""
        text = line if keeps_spaces else line.strip().lstrip("\ufeff")  # files that were joined have more than one
        text = add_tag(text) if text else ""
        return text, len(translator.encode(text)) - 1  # without </s>

    max_lines, max_tokens = max(2, translator.max_workers) * WINDOW, translator.max_source_tokens
    for name, lines in _open(inputs):
        for first, window in windows(lines.fileno(), max_lines, parse, name):
            for number, (_, tokens) in enumerate(window, start=first + 1):
                if tokens > max_tokens:
                    say(f"line {number}: truncated to {max_tokens:,} of {tokens:,} tokens; split it")
            for hypothesis in translator.translate([text for text, _ in window], first):
                print(hypothesis.text)
            sys.stdout.flush()
            interrupt.check()


def _open(inputs: Sequence[str]) -> Iterator[tuple[str, IO]]:
    """Yield the name and an open file of each input, a file or a sentence; without inputs, of standard input."""
    if not inputs:
        yield "standard input", sys.stdin
    for word in inputs:
        with _file(word) as file:
            yield word, file


def _file(word: str) -> IO:
    """Return an open file: the one that is named, or one that holds the sentence."""
    try:
        return Path(word).open("rb")
    except OSError as error:
        if _is_file(word):
            raise UserError(f"{word}: cannot be read ({error.strerror})") from None
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.write(os.fsencode(word) + b"\n")
    file.seek(0)
    return file


def _check_files(inputs: Sequence[str]) -> None:
    for word in inputs:
        if LIKE_FILE.fullmatch(word) and not _is_file(word):
            raise UserError(f"{word}: there is no such file; a sentence that looks like one goes to standard input")


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # a sentence longer than any name
        return False


def pronounce(cfg: DictConfig, run: RunDir, words: Sequence[str]) -> None:
    """Print a line ``word <tab> pronunciation`` for each word."""
    translator = _translator(cfg, run)
    if translator.task.modality != "text" or not words:
        raise UserError(f"name the words: s2s pronounce WORD ... app={cfg.app} (requires a text model)")

    def pronounce_word(word: str) -> str:
        return translator.translate([word])[0].text

    _each(((word, partial(pronounce_word, word)) for word in words), "words")


def recognize(cfg: DictConfig, run: RunDir, files: Sequence[str]) -> None:
    """Print a line ``file <tab> text`` for each media file, and for each in the folders.

    Raises:
        UserError: at the end, if some files were unusable; each has been named.
    """
    translator = _translator(cfg, run)
    modality = translator.task.modality
    if modality == "text":
        raise UserError(f"{run.folder} reads text: run s2s translate app={cfg.app} name={cfg.name}")
    if not files:
        raise UserError(f"name the {modality} files, or folders of them: s2s STAGE FILE ... app={cfg.app}")

    def read(path: Path) -> np.ndarray:
        return translator.task.loader.read_signal(path).numpy()

    # A process of its own, so that a decoder that crashes costs its file alone.
    with Workers(1, read, remedy="leave the file out, or convert it") as reader:

        def recognize_file(path: Path) -> str:
            return translator.decode([torch.from_numpy(reader.map([path])[0])])[0].text

        _each(((str(path), partial(recognize_file, path)) for path in media_files(files, modality)), "files")


def _each(answers: Iterable[tuple[str, Callable[[], str]]], what: str) -> None:
    """Print ``name <tab> answer`` for each; name what cannot be answered, and go on.

    Raises:
        UserError: at the end, if some could not be answered.
    """
    unusable = 0
    for name, answer in answers:
        try:
            text = answer()
        except Exception as error:  # of a decoder, which may raise anything
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            say(f"s2s: {' '.join((reason if name in reason else f'{name}: {reason}').split())}")
            unusable += 1
            continue
        print(f"{visible(name)}\t{text}", flush=True)
        interrupt.check()
    if unusable:
        raise UserError(f"{unusable} of the {what} could not be used; see above")


def media_files(names: Sequence[str], modality: str) -> Iterator[Path]:
    """Yield the named files, and those of the modality in folders; a folder of only frames is one video.

    Raises:
        UserError: at the end, if there are folders without any.
    """
    empty = []
    for name in names:
        path, found = existing_path(Path(name)), None
        with suppress(OSError):  # reading it will say why
            found = _files_in(path, modality) if path.is_dir() else None
        if found == []:
            empty.append(name)
        yield from [path] if found is None else found
    if empty:
        raise UserError(f"{', '.join(empty)}: no {modality} file found ({', '.join(SUFFIXES[modality])})")


def _files_in(folder: Path, modality: str) -> list[Path]:
    paths = sorted((path for path in folder.rglob("*") if not path.name.startswith(".")), key=natural_key)
    found = [path for path in paths if path.suffix.lower() in SUFFIXES[modality]]
    frames = modality == "video" and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    return [folder] if frames and not found else found


def _translator(cfg: DictConfig, run: RunDir) -> Translator:
    check_without_targets(cfg.generation)
    return Translator(
        run.best_checkpoint(),
        cfg.generation,
        cfg.task,
        data=Path(cfg.task.data),
        cpu=cfg.common.cpu,
        max_tokens=cfg.dataset.max_tokens,
        workers=cfg.workers,
        output_parser=cfg.output_parser,
    )
