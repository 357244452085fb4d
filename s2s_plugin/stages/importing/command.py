"""What the commands that import a model share: their arguments, and what they print."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.stages.importing.run import APP, Foreign, write_run

RUNS = Path("runs") / APP
LANGUAGE = re.compile(r"[A-Za-z][\w.-]*")


def arguments(name: str, metavar: str, description: str | None, default: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command that imports a model; ``default``: what it writes where no folder is named."""
    parser = argparse.ArgumentParser(name, description=description)
    parser.add_argument("source", type=Path, metavar=metavar)
    written = f"folder of the run to write; default: {default or RUNS / metavar}"
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help=written)
    parser.add_argument("--source-lang", metavar="LANG", help="language of the sources")
    parser.add_argument("--target-lang", metavar="LANG", help="language of the targets")
    text = "SentencePiece model of the {}, which makes text of tokens"
    parser.add_argument("--source-model", type=Path, metavar="FILE", help=text.format("sources"))
    parser.add_argument("--target-model", type=Path, metavar="FILE", help="of the targets; default: the same")
    return parser


def import_run(options: argparse.Namespace, read: Callable[[Path], Foreign]) -> int:
    """Write the run of a model, and print how it is used."""
    source = options.source.resolve()
    folder = options.run or RUNS / (source.name if source.is_dir() else source.stem)
    check_new(folder, "folder")
    foreign = choose(read(options.source), options)
    write_run(foreign, folder)
    pair, kind = " to ".join(foreign.languages), "text"
    if foreign.segmentation is None:
        kind = "tokens separated by spaces, as the toolkit's own preprocessing makes them (text: --source-model FILE)"
    count = sum(value.numel() for value in foreign.model.weights.values())
    run = f"name={folder.name}" if folder.parent == RUNS else f"run_dir={folder}"
    print(f"{folder}: a model of {foreign.toolkit}, {pair}, {count:,} parameters; it reads and writes {kind}")
    print(f's2s translate app={APP} {shlex.quote(run)} "..."')
    print(f"s2s export {shlex.quote(str(folder))}")
    return 0


def choose(foreign: Foreign, options: argparse.Namespace) -> Foreign:
    """Return a model with the languages and the segmentation that the command line names.

    Raises:
        UserError: they cannot be used.
    """
    languages = options.source_lang or foreign.languages[0], options.target_lang or foreign.languages[1]
    for language in languages:
        if not LANGUAGE.fullmatch(language):
            raise UserError(f"a language must be letters such as en, got {language}")
    if languages[0] == languages[1]:
        raise UserError(f"--source-lang and --target-lang must differ, got {languages[0]} twice")
    if options.target_model is not None and options.source_model is None:
        raise UserError("--target-model requires --source-model")
    segmentation = foreign.segmentation
    if options.source_model is not None:
        segmentation = options.source_model, options.target_model or options.source_model
    return foreign._replace(languages=languages, segmentation=segmentation)


def check_new(path: Path, kind: str) -> None:
    """Raise UserError if a file or folder to write is there."""
    if path.exists():
        raise UserError(f"{path} exists: name another {kind}, or delete it")
