"""Validation decodes and measures: ROUGE in the loop, and how long its outputs may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq import checkpoint_utils

import s2s_plugin  # noqa: F401  (registers the task)


def logged(trained: Path, toy: Path, longest: int | None) -> tuple[list[int], list[int]]:
    """What validation on the test set logs of ROUGE-1, and the number of letters of each target."""
    overrides = {"data": str(toy), "eval_metric": "rouge1", "eval_max_len": longest}
    models, cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(trained)], overrides)
    task.load_dataset("test")
    dataset = task.dataset("test")
    batch = dataset.collater([dataset[i] for i in range(len(dataset))])
    _, _, log = task.valid_step(batch, models[0].eval(), task.build_criterion(cfg.criterion))
    return [log["_metric_0"], log["_metric_1"]], [len(dataset[i]["target"]) - 1 for i in range(len(dataset))]


def test_rouge_is_logged_as_sums(trained: Path, toy: Path):
    (total, items), _ = logged(trained, toy, None)
    assert items == 13 and type(total) is int
    assert total / 1e6 / items > 0.9  # the letters are found even where their order is not


@pytest.mark.parametrize("longest", [1, 2])
def test_outputs_end_where_they_are_told(trained: Path, toy: Path, longest: int):
    """Of n letters at most ``longest`` are written: F is at most 2 longest / (longest + n)."""
    (total, items), lengths = logged(trained, toy, longest)
    bound = sum(2 * min(longest, n) / (longest + n) for n in lengths)
    assert 0.5 * bound < total / 1e6 < bound + 1e-3 < 0.9 * items
