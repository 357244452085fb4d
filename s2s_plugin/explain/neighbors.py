"""The training pairs that are most similar to a sentence."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.text.retrieval import Retrieval
from s2s_plugin.utils.digests import read_prepared

MAX_PAIRS = 200_000  # that are read: half a minute


class Neighbor(NamedTuple):
    """A training pair."""

    similarity: float  # of the sources, cosine of TF-IDF vectors
    line: int  # in the prepared text, from 1
    source: str
    target: str


class TrainingPairs:
    """The first 200,000 pairs that a run was trained on, if their text is still there."""

    def __init__(self, run: RunDir, cfg: DictConfig):
        folder = Path(run.read_settings().get("task.data", cfg.task.data), "text")
        self.files = [folder / f"train.{language}" for language in (cfg.task.source_lang, cfg.task.target_lang)]

    def nearest(self, text: str, count: int) -> list[Neighbor] | None:
        """Return the pairs with the most similar sources; None if the text is gone."""
        if self._memory is None:
            return None
        ranked = self._memory.ranked(text, count)
        return [Neighbor(round(score, 2), place + 1, *self._memory.pairs[place]) for place, score in ranked]

    @cached_property
    def _memory(self) -> Retrieval | None:
        if not all(path.is_file() for path in self.files):
            return None
        return Retrieval(list(islice(zip(*map(read_prepared, self.files), strict=True), MAX_PAIRS)))
