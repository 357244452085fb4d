"""The training pairs that are most similar to a sentence."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.text.retrieval import STEM, Retrieval
from s2s_plugin.utils.digests import read_prepared

MAX_PAIRS = 200_000  # that are read: half a minute


class Neighbor(NamedTuple):
    """A training pair."""

    similarity: float  # of the sources, cosine of TF-IDF vectors
    line: int  # in the prepared text, from 1
    source: str
    target: str


class TrainingPairs:
    """The first 200,000 pairs that a run was trained on, if their text is still there; else its retrieval memory.

    Args:
        run: the run.
        task: config with its languages, and the folder of its data unless the run knows better.
    """

    def __init__(self, run: RunDir, task: Any):
        self.folder = Path(run.read_settings().get("task.data", task.data))
        self.languages = str(task.source_lang), str(task.target_lang)
        self.files = [self.folder / "text" / f"train.{language}" for language in self.languages]

    def nearest(self, text: str, count: int) -> list[Neighbor] | None:
        """Return the pairs with the most similar sources; None if the text is gone."""
        if self._memory is None:
            return None
        ranked = self._memory.ranked(text, count)
        return [Neighbor(round(score, 2), place + 1, *self._memory.pairs[place]) for place, score in ranked]

    @property
    def available(self) -> bool:
        """Return whether there are pairs."""
        memory = [self.folder / f"{STEM}.{language}" for language in self.languages]
        return any(all(path.is_file() for path in files) for files in (self.files, memory))

    @cached_property
    def _memory(self) -> Retrieval | None:
        if not all(path.is_file() for path in self.files):
            return Retrieval.load(self.folder, *self.languages)
        return Retrieval(list(islice(zip(*map(read_prepared, self.files), strict=True), MAX_PAIRS)))
