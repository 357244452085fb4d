"""A trained run by hand: lines of text from standard input, or media files and folders."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.directions import tagger
from s2s_plugin.datasets.frontends.video import PICTURES
from s2s_plugin.errors import UserError
from s2s_plugin.inference.stream import windows
from s2s_plugin.inference.translator import Translator
from s2s_plugin.search.stock import refuse_without_targets
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import say
from s2s_plugin.utils.run_dir import RunDir

# The stage's name for each modality, and the files it takes from a folder.
MEDIA = {"transcribe": "audio", "lipread": "video", "caption": "image"}
WINDOW = 256  # lines for each process, to be sorted by length
BY_HAND = ("translate", "pronounce", "chat", *MEDIA)
ENDINGS = {
    "audio": (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"),
    "video": (".mp4", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".webm"),
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
}


def _translator(cfg: DictConfig, run: RunDir) -> Translator:
    refuse_without_targets(cfg.generation)
    return Translator(
        run.best_checkpoint(),
        cfg.generation,
        cpu=cfg.common.cpu,
        task=cfg.task,
        max_tokens=cfg.dataset.max_tokens,
        workers=cfg.workers,
        check=cfg.output_parser,
    )


def translate(cfg: DictConfig, run: RunDir) -> None:
    """Lines of standard input to lines of standard output: what is there is answered before more is awaited."""
    translator = _translator(cfg, run)
    if translator.task.modality != "text":
        name = next(stage for stage, modality in MEDIA.items() if modality == translator.task.modality)
        raise UserError(f"{run.folder} reads {translator.task.modality}, not text: s2s {name} FILE ... app={cfg.app}")
    dictionary, several = translator.task.source_dictionary, "+" in f"{cfg.task.source_lang}{cfg.task.target_lang}"
    tagged = tagger(dictionary.symbols, cfg.translate_to, several)
    if sys.stdin.isatty():
        say(f"{run.folder}: type a sentence, end with Ctrl-D")
    largest = max(2, translator.most) * WINDOW

    def take(line: str) -> tuple[str, int]:
        """With its tag, and its number of symbols; an empty line stays empty."""
        text = tagged(line) if line else ""
        return text, len(translator.symbols(text)) - 1  # without </s>

    for first, window in windows(sys.stdin.fileno(), largest, take):
        for number, (_, symbols) in enumerate(window, start=first + 1):
            if symbols > translator.longest:
                say(f"line {number}: {symbols:,} symbols, of which the first {translator.longest:,} are read; split it")
        for found in translator.translate([text for text, _ in window], first):
            print(found.text)
        sys.stdout.flush()
        interrupt.check()


def pronounce(cfg: DictConfig, run: RunDir, words: Sequence[str]) -> None:
    """Words to lines ``word <tab> pronunciation`` on standard output."""
    translator = _translator(cfg, run)
    if translator.task.modality != "text" or not words:
        raise UserError(f"name the words: s2s pronounce WORD ... app={cfg.app} (a run that reads text)")
    for word in words:
        print(f"{word}\t{translator.translate([word])[0].text}", flush=True)


def recognize(cfg: DictConfig, run: RunDir, files: Sequence[str]) -> None:
    """Media files, and those in folders, to lines ``file <tab> text`` on standard output.

    Raises:
        UserError: at the end, if some files were not usable; each has been named.
    """
    translator = _translator(cfg, run)
    modality = translator.task.modality
    if modality == "text":
        raise UserError(f"{run.folder} reads text: s2s translate app={cfg.app} name={cfg.name}")
    if not files:
        raise UserError(f"name the {modality} files, or folders of them: s2s STAGE FILE ... app={cfg.app}")
    unusable = 0
    for path in media_files(files, modality):
        try:
            source = translator.task.read_signal(path)
        except UserError as error:
            say(f"s2s: {error}")
            unusable += 1
            continue
        print(f"{path}\t{translator.decode([source])[0].text}", flush=True)
    if unusable:
        raise UserError(f"{unusable} of the files could not be used; see above")


def media_files(names: Sequence[str], modality: str) -> Iterator[Path]:
    """The files as named, and those of the modality in folders; a folder of frames and no videos is one video."""
    for name in names:
        path = Path(name)
        if not path.is_dir():
            yield path
            continue
        found = sorted(entry for entry in path.rglob("*") if entry.suffix.lower() in ENDINGS[modality])
        if not found and modality == "video" and any(entry.suffix.lower() in PICTURES for entry in path.iterdir()):
            found = [path]
        if not found:
            raise UserError(f"{path}: holds no file that ends in {', '.join(ENDINGS[modality])}")
        yield from found
