"""Read what the stages left in a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.dataclass.configs import FairseqConfig

from s2s_plugin.datasets.manifest import read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import REGENERATE, RunDir
from s2s_plugin.report.learned import output_signs, training_signs, warning
from s2s_plugin.report.log import Curves, read_curves
from s2s_plugin.report.words import length_ratio
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.io import read_json
from s2s_plugin.utils.untrusted import load_yaml, show

SUMMARY_SHAPE = {"pairs?": {"train?": int}}  # what is used of the prepare stage's


@dataclass(frozen=True)
class Output:
    """A test item, as in a line of ``outputs.jsonl``."""

    id: int
    hypothesis: str
    reference: str | list[str] | None = None
    source: str | None = None  # None if it is a signal
    score: float | None = None  # log-probability per token, natural logarithm
    length: int | None = None  # of the source: tokens, or frames of a signal
    item: str = ""  # name of the signal
    media: str = ""  # file of the signal
    speaker: str = ""
    direction: str = ""  # of translation, if there are several
    retrieved: str = ""  # target of the retrieved pair

    @property
    def references(self) -> list[str]:
        """Return all references."""
        return self.reference if isinstance(self.reference, list) else [self.reference] if self.reference else []


@dataclass(frozen=True)
class Attention:
    """The attention of an item with T target tokens and S source tokens or memory steps."""

    id: int  # of the item
    target_tokens: Sequence[str]
    attention: np.ndarray  # T x S weights
    source_tokens: Sequence[str] = ()  # of a text
    modality: str = "text"  # or audio, video, image
    # As the model saw it. Audio: frames x mel channels, log energies of mean 0 and variance 1. Video: frames x height x
    # width, gray, 0 to 255. Image: height x width x RGB, 0 to 255.
    signal: Any = None
    stride: int = 1  # memory step s covers the frames s * stride to (s + 1) * stride - 1
    seconds_per_frame: float = 0.0  # of audio and video
    grid: Sequence[int] = ()  # rows and columns of an image that the memory covers, row by row
    caption: str = ""  # below the picture: which sentence or file it is

    @property
    def seconds(self) -> float:
        """Return the total duration."""
        return len(self.signal) * self.seconds_per_frame

    @property
    def step_seconds(self) -> float:
        """Return the duration of a memory step."""
        return self.stride * self.seconds_per_frame


@dataclass(frozen=True)
class RunData:
    """The contents of a run folder; those of a missing file are empty."""

    dir: RunDir
    date: datetime
    options: dict[str, Any]  # the config
    curves: Curves
    outputs: list[Output]
    attention: dict[int, Attention]  # by the id of the item
    scores: dict[str, Any]
    diagnosis: dict[str, Any]  # of s2s diagnose
    commands: dict[str, str]  # by stage
    license: str  # of the corpus
    train_pairs: int | None  # of the corpus

    @property
    def train_text(self) -> Path | None:
        """Return the file of training sources, if they are text and still there."""
        task = self.options.get("task") or {}
        path = Path(str(task.get("data", "")), "text", f"train.{task.get('source_lang')}")
        return path if path.is_file() else None

    def has_media(self, name: str) -> bool:
        """Return whether a media file is in the run folder or listed in the manifest of the run's data.

        No other file may get into the page, whatever ``outputs.jsonl`` names.
        """
        if Path(name).resolve().is_relative_to(self.dir.folder.resolve()):
            return True
        task, dataset = (self.options.get(group) or {} for group in ("task", "dataset"))
        manifest = Path(str(task.get("data", ""))) / f"{dataset.get('gen_subset', 'test')}.tsv"
        try:
            return Path(name) in {item.path for item in read_manifest(manifest)[1]}
        except UserError:
            return False

    @property
    def warning(self) -> str:
        """Return signs that the run was too short to learn anything; empty if there are none."""
        signs = training_signs(self.options, self.dir.read_result(), self.curves)
        hypotheses, references = [each.hypothesis for each in self.outputs], [each.references for each in self.outputs]
        return warning(signs + output_signs(hypotheses, references))

    @property
    def from_signals(self) -> bool:
        """Return whether the sources are recordings, videos or images."""
        return bool(self.outputs) and all(output.source is None for output in self.outputs)

    @property
    def length_ratio(self) -> float | None:
        """Return tokens of the hypotheses per token of the references; None without references."""
        pairs = [(output.hypothesis, output.references) for output in self.outputs if output.references]
        return length_ratio(*zip(*pairs, strict=True)) if pairs else None


def read_run(folder: Path) -> RunData:
    """Read the run in ``folder``.

    Raises:
        UserError: ``folder`` is not a folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a run folder; run the train stage first")
    run = RunDir(folder)
    inputs = (run.config, run.log, run.outputs, run.attention, run.scores, run.commands)
    times = [path.stat().st_mtime for path in inputs if path.is_file()]
    options, summary = _read_options(run.config), read_json(run.data_summary, SUMMARY_SHAPE) or {}
    return RunData(
        dir=run,
        date=datetime.fromtimestamp(max(times)) if times else datetime.now(),
        options=options,
        curves=read_curves(run.log),
        outputs=[Output(**item) for item in run.read_outputs()],
        attention={item["id"]: _read_attention(item, run) for item in run.read_attention()},
        scores=(read_json(run.scores) if run.scores.is_file() and run.scores.stat().st_size else None) or {},
        diagnosis=run.read_diagnosis(),
        commands=run.read_commands(),
        license=str(summary.get("license", "")),
        train_pairs=summary.get("pairs", {}).get("train"),
    )


def _read_options(config: Path) -> dict[str, Any]:
    """Read the run's config, from which the report builds the scorer; see ``untrusted.py``."""
    if not os.path.lexists(config):
        return {}
    options = load_yaml(config)
    used: dict[str, Any] = {group: options[group] for group in ("dataset", "scoring", "task") if group in options}
    return options | check_config(used, FairseqConfig, config)


def _read_attention(item: dict[str, Any], run: RunDir) -> Attention:
    """Load the signal too, if there is one, from a file of the run.

    Raises:
        UserError: the file is elsewhere, or not what the generate stage has written.
    """
    signal = None
    if "features" in item:
        path = run.folder / str(item.pop("features"))
        if not path.resolve().is_relative_to(run.folder.resolve()) or not path.is_file():
            raise UserError(f"{path}: features must be a file in {run.folder}; run the generate stage again")
        check_digest(path, REGENERATE)
        try:
            signal = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise UserError(f"{path}: unreadable ({show(str(error))}); run the generate stage again") from None
    return Attention(**item | {"attention": np.array(item["attention"])}, signal=signal)
