"""What each checkpoint of a training makes of some validation items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf

from s2s_plugin.datasets.manifest import prepared_items
from s2s_plugin.datasets.references import read_references
from s2s_plugin.inference.attention import KEEP_WEIGHTS, signal_steps
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator
from s2s_plugin.report.run import Attention
from s2s_plugin.tasks.checkpoint import load_checkpoint
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.digests import read_prepared

COUNT = 3  # items
MAX_SNAPSHOTS = 100  # more are thinned out
MAX_ERROR = 200  # letters


@dataclass(frozen=True)
class Sample:
    """An output for an item of the validation set."""

    source: str  # or the name of its file
    references: Sequence[str]
    output: str
    attention: Attention | None  # None: the model has none, or the output is empty


@dataclass(frozen=True)
class Snapshot:
    """The outputs after some updates."""

    updates: int
    samples: Sequence[Sample]


class Sampler:
    """Decodes validation items with each new checkpoint of a run, on the CPU.

    Attributes:
        snapshots: in the order of the training.
        problem: why there is no newer one; empty if there is no reason.
    """

    def __init__(self, run: RunDir, options: dict[str, Any]):
        """Take the search and the data from the config of the run."""
        self.checkpoint = run.checkpoints / "checkpoint_last.pt"
        groups = {name: options[name] for name in ("generation", "dataset", "task")}
        stored = check_config(groups, FairseqConfig, run.config)
        self.generation = OmegaConf.create({**stored["generation"], **KEEP_WEIGHTS, "lm_path": None, "nbest": 1})
        self.data = run.data if run.data.is_dir() else Path(stored["task"]["data"])
        self.split = stored["dataset"]["valid_subset"].partition(",")[0]
        self.snapshots: list[Snapshot] = []
        self.problem = ""
        self._seen = 0  # when the checkpoint was written, in ns

    def update(self) -> None:
        """Add a snapshot if there is a new checkpoint; what goes wrong is kept in ``problem``."""
        try:
            written = self.checkpoint.stat().st_mtime_ns
        except OSError:
            return
        if written == self._seen:
            return
        self._seen = written
        try:
            snapshot = self._decode()
        except Exception as error:  # the page shows all the rest
            self.problem = (str(error) or type(error).__name__)[:MAX_ERROR]
            return
        earlier = [each for each in self.snapshots if each.updates < snapshot.updates]  # it may have gone back
        if len(earlier) >= MAX_SNAPSHOTS:
            del earlier[1::2]
        self.snapshots, self.problem = [*earlier, snapshot], ""

    def _decode(self) -> Snapshot:
        state = load_checkpoint(self.checkpoint)
        translator = Translator(self.checkpoint, self.generation, data=self.data, cpu=True)
        if (weights := state["extra_state"].get("ema")) is not None:  # these are validated
            translator.models[0].load_state_dict(weights)
            translator.task.inference_copies.clear()  # they have the other weights
            translator = translator.with_search(self.generation, {})
        task = translator.task
        references = read_references(self.data, self.split, str(task.cfg.source_lang), str(task.cfg.target_lang))
        numbers = range(len(references))[:: max(1, -(-len(references) // COUNT))]
        decode = self._decode_texts if task.modality == "text" else self._decode_signals
        samples = [
            Sample(source, [texts] if isinstance(texts, str) else texts, output, attention)
            for (source, output, attention), texts in zip(
                decode(translator, numbers), (references[number] for number in numbers), strict=True
            )
        ]
        return Snapshot(state["optimizer_history"][-1]["num_updates"], samples)

    def _decode_texts(self, translator: Translator, numbers: Sequence[int]) -> list[tuple]:
        lines = read_prepared(self.data / "text" / f"{self.split}.{translator.task.cfg.source_lang}")
        texts = [lines[number] for number in numbers]
        return [
            (text, hypothesis.text, _attention(number, hypothesis, source_tokens=translator.source_tokens(text)))
            for number, text, hypothesis in zip(numbers, texts, translator.translate(texts), strict=True)
        ]

    def _decode_signals(self, translator: Translator, numbers: Sequence[int]) -> list[tuple]:
        items, dataset = prepared_items(self.data / f"{self.split}.tsv"), translator.dataset(self.split)
        sources = [dataset.sources[number] for number in numbers]
        rows = []
        for number, source, hypothesis in zip(numbers, sources, translator.decode(sources), strict=True):
            signal = translator.task.frontend.to_image(source)
            attention = _attention(number, hypothesis, signal=signal, **signal_steps(translator, source))
            rows.append((items[number].path.name, hypothesis.text, attention))
        return rows


def _attention(number: int, hypothesis: Hypothesis, **values: Any) -> Attention | None:
    if not hypothesis.attention or not hypothesis.text.strip():
        return None
    return Attention(number, hypothesis.target_tokens, np.array(hypothesis.attention), **values)
