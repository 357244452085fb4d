"""What is measured on, and what a measurement returns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.corpora.directions import tagged
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.report.run import Output
from s2s_plugin.report.words import words_of
from s2s_plugin.scoring.base import Scorer
from s2s_plugin.scoring.evaluate import build_filled_scorer, evaluate
from s2s_plugin.utils.digests import read_prepared

Cell = str | int | float | None
Row = dict[str, Cell]
T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """The result of a measurement.

    Args:
        title: what was measured.
        rows: of the table, with the same keys, the names of the columns; the first column labels the rows.
        verdict: one sentence: what it means for this model.
        remedy: which options help; empty if nothing needs to.
        bars: the columns to draw.
        note: method and signatures.
    """

    title: str
    rows: list[Row]
    verdict: str
    remedy: str = ""
    bars: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Subject:
    """A finished run, its test outputs, and the means to decode again.

    Args:
        cfg: config of the run.
        run: its folder.
        prepared: the folder with the training set, which may be gone.
        outputs: of the test set, those with a reference.
    """

    cfg: DictConfig
    run: RunDir
    prepared: Path
    outputs: list[Output]
    _counts: dict[str, Counter[str]] = field(default_factory=dict)

    @cached_property
    def scorer(self) -> Scorer:
        """Return the first metric of the run, without items."""
        return build_filled_scorer(self.cfg.metrics[0], [], [], self.cfg.scoring)

    @property
    def metric(self) -> str:
        """Return its usual name."""
        return self.scorer.label

    @property
    def from_signals(self) -> bool:
        """Return whether the sources are recordings, videos or images."""
        return self.outputs[0].source is None

    def gain(self, score: float, other: float) -> float:
        """Return by how much a score is better than another; negative if it is worse."""
        return score - other if self.scorer.higher_is_better else other - score

    def score(self, hypotheses: Sequence[str], references: Sequence[list[str]]) -> dict[str, Any]:
        """Return the first metric with its 95 % interval, see :func:`evaluate`."""
        single = [texts[0] if len(texts) == 1 else texts for texts in references]
        (scored,) = evaluate(self.cfg.metrics[:1], hypotheses, single, self.cfg.scoring, intervals=True).values()
        return scored

    def sources(self, outputs: Sequence[Output], translator: Translator) -> list[Tensor]:
        """Return the sources of test items as the model reads them: S ids, or S x ... features."""
        if self.from_signals and self._is_prepared:
            dataset = translator.dataset(self.cfg.dataset.gen_subset)
            return [dataset.sources[output.id] for output in outputs]
        if self.from_signals:
            return [translator.task.loader.read_signal(Path(output.media)) for output in outputs]
        return [
            translator.encode(tagged(output.source or "", output.direction.partition("-")[2] or None))
            for output in outputs
        ]

    def dataset(self, translator: Translator) -> PairDataset:
        """Return the test set as the model reads it, with its targets; that of a packaged model is the user's."""
        if self._is_prepared:
            return translator.dataset(self.cfg.dataset.gen_subset)
        sources = self.sources(self.outputs, translator)
        targets = [translator.target_ids(output.references[0], output.source) for output in self.outputs]
        return translator.task.loader.of_pairs(sources, targets)

    @property
    def _is_prepared(self) -> bool:
        """Return whether the prepared data has the test set."""
        return any(Path(self.cfg.task.data).glob(f"{self.cfg.dataset.gen_subset}.*"))

    def translator(self, **generation: Any) -> Translator:
        """Return the trained model, with options of the search that differ from the run's."""
        cfg = self.cfg.copy()
        cfg.generation.update(generation)
        return load_translator(cfg, self.run)

    def decode(self, outputs: Sequence[Output], **generation: Any) -> list[Hypothesis]:
        """Decode test items again."""
        translator = self.translator(**generation)
        return translator.decode(self.sources(outputs, translator))

    def train_counts(self, language: str) -> Counter[str] | None:
        """Count the words of one side of the training set; None if it is gone or no text."""
        path = self.prepared / "text" / f"train.{language}"
        if language not in self._counts and path.is_file():
            counts = Counter(word for line in read_prepared(path) for word in words_of(line))
            self._counts[language] = counts
        return self._counts.get(language)


Measure = Callable[[Subject], Finding | None]  # None: does not apply to such a model


def overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two scores are equal within their 95 % intervals; without intervals, within a point."""
    if "interval" not in one or "interval" not in other:
        return abs(one["score"] - other["score"]) < 1
    (low, high), (other_low, other_high) = one["interval"], other["interval"]
    return low <= other_high and other_low <= high


def sample(items: Sequence[T], count: int) -> list[T]:
    """Return at most ``count`` items, evenly spread over the test set."""
    return list(items[:: max(1, math.ceil(len(items) / count))])
