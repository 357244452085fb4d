"""Validation decodes and measures: ROUGE in the loop, and how long its outputs may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq import checkpoint_utils
from fairseq.distributed.module_proxy_wrapper import ModuleProxyWrapper
from torch import nn

import s2s_plugin  # noqa: F401  (registers the task)
from s2s_plugin.tasks import validation


class Parallel(nn.Module):
    """As what fairseq trains on several devices holds a model."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, **inputs):
        return self.module(**inputs)


def logged(trained: Path, toy: Path, longest: int | None, wrapped: bool = False) -> tuple[list[int], list[int]]:
    """What validation on the test set logs of ROUGE-1, and the number of letters of each target."""
    overrides = {"data": str(toy), "eval_metric": "rouge1", "eval_max_len": longest}
    models, cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(trained)], overrides)
    task.load_dataset("test")
    dataset = task.dataset("test")
    batch = dataset.collater([dataset[i] for i in range(len(dataset))])
    model = ModuleProxyWrapper(Parallel(models[0])) if wrapped else models[0]
    _, _, log = task.valid_step(batch, model.eval(), task.build_criterion(cfg.criterion))
    return [log["_metric_0"], log["_metric_1"]], [len(dataset[i]["target"]) - 1 for i in range(len(dataset))]


def test_rouge_is_logged_as_sums(trained: Path, toy: Path):
    (total, items), _ = logged(trained, toy, None)
    assert items == 13 and type(total) is int
    assert total / 1e6 / items > 0.9  # the letters are found even where their order is not


def test_on_several_devices_the_search_is_ours(trained: Path, toy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(validation, "SequenceGenerator", lambda *args, **rest: pytest.fail("fairseq's search"))
    assert logged(trained, toy, None, wrapped=True) == logged(trained, toy, None)


@pytest.mark.parametrize("longest", [1, 2])
def test_outputs_end_where_they_are_told(trained: Path, toy: Path, longest: int):
    """Of n letters at most ``longest`` are written: F is at most 2 longest / (longest + n)."""
    (total, items), lengths = logged(trained, toy, longest)
    bound = sum(2 * min(longest, n) / (longest + n) for n in lengths)
    assert 0.5 * bound < total / 1e6 < bound + 1e-3 < 0.9 * items
