"""Make training pairs of text in the target language, by a run of the reverse direction: ``s2s backtranslate``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.directions import TAG, untagged
from s2s_plugin.errors import UserError
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.lines import WINDOW, SourceReader
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.tasks.config import generation_key
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import note, say
from s2s_plugin.utils.io import fingerprint, read_json, write_json

MAX_RATIO = 3.0  # of the lengths of the two sides, in characters; beyond it an output is seldom a translation
STATE = {"key": str, "lines": int, "bytes": int, "reasons": {str: int}}
KEPT = "kept"


def backtranslate(cfg: DictConfig, run: RunDir, names: Sequence[str]) -> None:
    """Translate the lines of a file and write each, as the target, with its translation, as the source.

    ``names``: the file, which is read in windows, and the table to write, for ``data.extra_pairs``. The same command
    goes on after an interruption, with the same outcome.

    Raises:
        UserError: these are other files, or, at the end, some lines were unusable.
    """
    if len(names) != 2 or not names[1].endswith(".jsonl"):
        raise UserError(f"name a file of text, and the table to write, TABLE.jsonl; got {' '.join(names) or 'none'}")
    text, table = Path(names[0]), Path(names[1])
    if not text.is_file():
        raise UserError(f"{text}: there is no such file")
    if table.exists():
        raise UserError(f"{table}: is there already; delete it, or name another table")
    translator = load_translator(cfg, run)
    if translator.task.modality != "text":
        raise UserError(f"s2s backtranslate requires a text model, and {run.folder} reads {translator.task.modality}")
    partial, progress = (table.with_name(f"{table.name}{ending}") for ending in (".partial", ".progress.json"))
    version = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (text, run.best_checkpoint())]
    key = fingerprint(version, *generation_key(cfg), cfg.translate_to)
    state = read_json(progress, STATE)
    if state is None or state["key"] != key or not partial.is_file():
        state = {"key": key, "lines": 0, "bytes": 0, "reasons": {}}
        partial.write_bytes(b"")
    else:
        say(f"      continues after {state['lines']:,} lines")
    languages = [str(translator.task.cfg.target_lang), str(translator.task.cfg.source_lang)]
    with report_failures("lines") as fail, partial.open("r+b") as file:
        file.truncate(state["bytes"])
        file.seek(state["bytes"])
        reader, read = SourceReader(translator, cfg, fail), 0
        for window in reader.windows(str(text), max(2, translator.max_workers) * WINDOW):
            sources = window[max(0, state["lines"] - read) :]
            read += len(window)
            for pair in _translate(translator, sources, read - len(sources), state["reasons"]):
                file.write(json.dumps(dict(zip(languages, pair, strict=True)), ensure_ascii=False).encode() + b"\n")
            file.flush()
            state |= {"lines": max(read, state["lines"]), "bytes": file.tell()}
            write_json(progress, state)
            interrupt.check()
        partial.replace(table)
        progress.unlink()
        note(f"{state['lines']:,} lines read, {', '.join(f'{n:,} {name}' for name, n in state['reasons'].items())}")
        print(table)


def _translate(
    translator: Translator, sources: Sequence[str], first: int, reasons: dict[str, int]
) -> list[tuple[str, str]]:
    """Return the pairs of translation and line that may serve for training; count the lines in ``reasons``.

    ``first`` is the number of the first line, which seeds sampling.
    """
    pairs, counts = [], Counter(reasons)
    for line, hypothesis in zip(sources, translator.translate(sources, first), strict=True):
        text = untagged(line) if TAG.match(line) else line
        if not (reason := _unfit(translator, line, text, hypothesis.text)):
            pairs.append((hypothesis.text, text))
        counts[reason or KEPT] += 1
    reasons.update(counts)
    return pairs


def _unfit(translator: Translator, line: str, text: str, output: str) -> str:
    """Return why a line and its translation are no pair to train on; empty if they are."""
    if not text:
        return "empty or unusable"
    if len(translator.encode(line)) - 1 > translator.max_source_tokens:
        return "too long for the model"
    if not output or not 1 / MAX_RATIO <= len(output) / len(text) <= MAX_RATIO:
        return "with a translation of another length"
    return "with themselves as translation" if output.casefold() == text.casefold() else ""
