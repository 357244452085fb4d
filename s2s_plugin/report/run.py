"""Read what the stages left in a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from s2s_plugin.errors import UserError
from s2s_plugin.report.drawing.signals import Signal, read_signal
from s2s_plugin.utils.run_dir import RunDir

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """A test item: source, references and hypothesis."""

    id: int
    source: str | None  # None if it is a signal
    references: tuple[str, ...]
    hypothesis: str
    score: float | None  # log-probability per token, natural logarithm
    length: int | None  # of the source: tokens, or frames of a signal
    media: Path | None = None  # file of the signal
    speaker: str = ""
    direction: str = ""  # of translation, if there are several
    retrieved: str = ""  # target of the retrieved pair


@dataclass(frozen=True)
class Attention:
    """The attention of an item with T target tokens and S source tokens or memory steps."""

    id: int
    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]  # T x S
    signal: Signal | None = None  # if the source is not text


@dataclass(frozen=True)
class RunData:
    """The contents of a run folder; those of a missing file are empty."""

    dir: RunDir
    date: datetime
    config: dict[str, Any]
    config_text: str
    outputs: list[Output]
    attention: list[Attention]
    scores: dict[str, Any]
    commands: str

    @property
    def from_signals(self) -> bool:
        """Return whether the sources are recordings, videos or images."""
        return bool(self.outputs) and all(output.source is None for output in self.outputs)


def read_run(folder: Path) -> RunData:
    """Read the run in ``folder``.

    Raises:
        UserError: ``folder`` is not a folder, or a file in it is unreadable.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a run folder; run the train stage first")
    run = RunDir(folder)
    inputs = (run.config, run.log, run.outputs, run.attention, run.scores, run.commands)
    times = [path.stat().st_mtime for path in inputs if path.is_file()]
    config_text, scores_text = _read(run.config), _read(run.scores)
    with _naming(run.config, "train"):
        config = yaml.safe_load(config_text)
    with _naming(run.scores, "score"):
        scores = dict(json.loads(scores_text)) if scores_text.strip() else {}
    return RunData(
        dir=run,
        date=datetime.fromtimestamp(max(times)) if times else datetime.now(),
        config=config if isinstance(config, dict) else {},
        config_text=config_text,
        outputs=_read_lines(run.outputs, _output),
        attention=_read_lines(run.attention, lambda item: _attention(folder, item)),
        scores=scores,
        commands=_read(run.commands),
    )


@contextmanager
def _naming(place: object, stage: str) -> Iterator[None]:
    """Name the file in whatever goes wrong with its content."""
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{place}: unreadable ({reason}); run the {stage} stage again") from None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _read_lines(path: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """Parse each JSON line."""
    items = []
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            with _naming(f"{path}:{number}", "generate"):
                items.append(parse(json.loads(line)))
    return items


def _output(item: dict[str, Any]) -> Output:
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


def _attention(folder: Path, item: dict[str, Any]) -> Attention:
    weights = tuple(map(tuple, item["attention"]))
    target = tuple(item["target_tokens"])
    source = tuple(item.get("source_tokens") or map(str, range(len(weights[0]) if weights else 0)))
    shape = np.shape(weights)
    if shape != (len(target), len(source)):
        raise ValueError(f"attention must be {len(target)} x {len(source)}, got {' x '.join(map(str, shape))}")
    return Attention(item.get("id", 0), source, target, weights, read_signal(folder, item, len(source)))
