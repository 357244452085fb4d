"""Read a run folder: what the stages of the pipeline left for the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from s2s_plugin.errors import UserError
from s2s_plugin.report.signals import Signal, read_signal

INPUTS = ("config.yaml", "log.txt", "outputs.jsonl", "attention.jsonl", "scores.json", "commands.txt")


@dataclass(frozen=True)
class Output:
    """One evaluated item: what went in, what should have come out, and what did."""

    id: int
    source: str | None  # None where the source is a signal
    references: tuple[str, ...]
    hypothesis: str
    score: float | None  # log-probability per token, natural logarithm
    length: int | None  # of the source: symbols, or frames of a signal
    media: Path | None = None  # file of the signal
    speaker: str = ""
    direction: str = ""  # of translation, where there are several
    retrieved: str = ""  # target of another pair, which the source brought


@dataclass(frozen=True)
class Attention:
    """The attention of one item: ``weights[t][s]`` for T target tokens and S source tokens or memory steps."""

    id: int
    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]  # T x S
    signal: Signal | None = None  # where the source is no text


@dataclass(frozen=True)
class Run:
    """The contents of a run folder; a file that is not there is empty here."""

    folder: Path
    date: datetime
    config: dict[str, Any]
    config_text: str
    outputs: list[Output]
    attention: list[Attention]
    scores: dict[str, Any]
    commands: str

    @property
    def from_signals(self) -> bool:
        """Whether the sources are recordings, films or pictures."""
        return bool(self.outputs) and all(output.source is None for output in self.outputs)

    @property
    def log(self) -> Path:
        """The training log, which may not exist."""
        return self.folder / "log.txt"


def read_run(folder: Path) -> Run:
    """Read the run in ``folder``.

    Raises:
        UserError: ``folder`` is not a folder, or a file in it is not what its stage writes.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a run folder; give the folder that the training wrote")
    config_text = _text(folder / "config.yaml")
    return Run(
        folder=folder,
        date=_date(folder),
        config=_config(config_text),
        config_text=config_text,
        outputs=[_output(*item) for item in _json_lines(folder / "outputs.jsonl")],
        attention=[_attention(folder, *item) for item in _json_lines(folder / "attention.jsonl")],
        scores=_scores(folder / "scores.json"),
        commands=_text(folder / "commands.txt"),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _date(folder: Path) -> datetime:
    """When the newest input of the report was written."""
    times = [(folder / name).stat().st_mtime for name in INPUTS if (folder / name).is_file()]
    return datetime.fromtimestamp(max(times)) if times else datetime.now()


def _config(text: str) -> dict[str, Any]:
    """The configuration as a mapping; empty where it is no YAML mapping (its text is shown all the same)."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return config if isinstance(config, dict) else {}


def _scores(path: Path) -> dict[str, Any]:
    text = _text(path)
    try:
        scores = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error}); run the score stage again") from None
    if not isinstance(scores, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(scores).__name__}")
    return scores


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's place (``file:line``, for messages) and object."""
    for count, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{count}"
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{place}: not JSON ({error}); run the generate stage again") from None
        if not isinstance(item, dict):
            raise UserError(f"{place}: expected a JSON object, got {type(item).__name__}")
        yield place, item


def _output(place: str, item: dict[str, Any]) -> Output:
    if not isinstance(item.get("hypothesis"), str):
        raise UserError(f"{place}: no text under 'hypothesis'; run the generate stage again")
    reference = item.get("reference")
    references = reference if isinstance(reference, list) else [reference]
    return Output(
        id=item.get("id", 0),
        source=item.get("source"),
        references=tuple(text for text in references if text is not None),
        hypothesis=item["hypothesis"],
        score=item.get("score"),
        length=item.get("length"),
        media=Path(item["media"]) if item.get("media") else None,
        speaker=item.get("speaker") or "",
        direction=item.get("direction") or "",
        retrieved=item.get("retrieved") or "",
    )


def _attention(folder: Path, place: str, item: dict[str, Any]) -> Attention:
    weights = tuple(tuple(float(weight) for weight in row) for row in item.get("attention") or ())
    target = tuple(item.get("target_tokens") or ())
    steps = len(weights[0]) if weights else 0
    source = tuple(item.get("source_tokens") or (str(step) for step in range(steps)))
    shape = [len(row) for row in weights]
    if len(weights) != len(target) or any(width != len(source) for width in shape):
        raise UserError(
            f"{place}: attention needs one row for each of the {len(target)} target tokens and one number "
            f"for each of the {len(source)} source tokens; it has {len(weights)} rows of {sorted(set(shape))}"
        )
    return Attention(item.get("id", 0), source, target, weights, read_signal(place, folder, item, steps))
