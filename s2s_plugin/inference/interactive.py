"""Use a trained run on words, and on media files and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from omegaconf import DictConfig

from s2s_plugin.datasets.frontends.video import IMAGE_SUFFIXES, natural_key
from s2s_plugin.datasets.manifest import existing_path
from s2s_plugin.errors import UserError, visible
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.tokens import unknown_tokens
from s2s_plugin.inference.translator import load_translator
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import say
from s2s_plugin.utils.workers import Workers

MEDIA = {"transcribe": "audio", "lipread": "video", "caption": "image"}  # command to modality
SUFFIXES = {  # of the files to take from a folder
    "audio": (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"),
    "video": (".mp4", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".webm"),
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
}

T = TypeVar("T")


def pronounce(cfg: DictConfig, run: RunDir, words: Sequence[str]) -> None:
    """Print a line ``word <tab> pronunciation`` for each word."""
    translator = load_translator(cfg, run)
    if translator.task.modality != "text" or not words:
        raise UserError(f"name the words: s2s pronounce WORD ... app={cfg.app} (requires a text model)")

    def pronounce_word(word: str) -> str:
        if unknown := unknown_tokens(translator, word):
            say(f"{word}: not in the vocabulary: {' '.join(unknown)}")
        return translator.translate([word])[0].text

    _print_each("words", words, pronounce_word)


def recognize(cfg: DictConfig, run: RunDir, files: Sequence[str]) -> None:
    """Print a line ``file <tab> text`` for each media file, and for each in the folders.

    Raises:
        UserError: at the end, if some files were unusable; each has been named.
    """
    translator = load_translator(cfg, run)
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

        _print_each("files", media_files(files, modality), recognize_file)


def _print_each(what: str, items: Iterable[T], answer: Callable[[T], str]) -> None:
    """Print ``item <tab> answer`` for each; report those without an answer."""
    with report_failures(what) as fail:
        for item in items:
            try:
                text = answer(item)
            except Exception as error:  # of a decoder, which may raise anything
                fail(str(item), error)
                continue
            print(f"{visible(str(item))}\t{text}", flush=True)
            interrupt.check()


def media_files(names: Sequence[str], modality: str) -> Iterator[Path]:
    """Yield the named files, and those of the modality in folders; a folder of only frames is one video.

    Raises:
        UserError: at the end, if there are folders without any.
    """
    empty = []
    for name in names:
        path, files = existing_path(Path(name)), None
        with suppress(OSError):  # reading it will say why
            files = _files_in(path, modality) if path.is_dir() else None
        if files == []:
            empty.append(name)
        yield from [path] if files is None else files
    if empty:
        raise UserError(f"{', '.join(empty)}: no {modality} file found ({', '.join(SUFFIXES[modality])})")


def _files_in(folder: Path, modality: str) -> list[Path]:
    paths = sorted((path for path in folder.rglob("*") if not path.name.startswith(".")), key=natural_key)
    files = [path for path in paths if path.suffix.lower() in SUFFIXES[modality]]
    frames = modality == "video" and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    return [folder] if frames and not files else files
