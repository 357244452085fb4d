"""What says that a run was too short, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_run import read, write_run

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.report.learned import output_signs, training_signs, warning
from s2s_plugin.report.log import Curves
from s2s_plugin.report.measures import describe_loss
from s2s_plugin.report.page import write_report
from s2s_plugin.stages.train import unigram_entropy
from s2s_plugin.utils.io import write_json

REFERENCES = [[f"reference {number}"] for number in range(30)]


def curves(*losses: float) -> Curves:
    result = Curves()
    for number, loss in enumerate(losses, start=1):
        result.valid["nll_loss"]["valid"][number] = loss
    return result


@pytest.mark.parametrize(
    ("warmup", "updates", "loss", "expected"),
    [(100, 100, 3.0, "within the warm-up"), (100, 101, 3.0, ""), (0, 9, 7.8, "7.80 bits per token is near the 8.00"),
     (0, 9, 7.4, ""), (100, 50, 7.9, "warm-up of lr_scheduler.warmup_updates=100; its validation")],
)  # fmt: skip
def test_signs_in_a_training(warmup: int, updates: int, loss: float, expected: str):
    options, result = {"lr_scheduler": {"warmup_updates": warmup}}, {"updates": updates, "unigram_entropy": 8.0}
    text = warning(training_signs(options, result, curves(9.0, loss)))
    assert expected in text and ("optimization.max_update" in text) == bool(expected)
    assert not training_signs({}, {"updates": 9}, curves(9.0)), "a run of an earlier version"


def test_signs_in_the_outputs():
    different = [f"output {number}" for number in range(30)]
    assert output_signs(different, REFERENCES) == []
    same = ["I do not know."] * 16 + different[:14]
    assert output_signs(same, REFERENCES) == ["16 of its 30 outputs are the same, 'I do not know.'"]
    assert output_signs(same, [["yes"]] * 30) == [], "so are the references"
    assert output_signs(same[:19], REFERENCES[:19]) == []


def test_entropy_of_the_tokens():
    targets = [torch.tensor([5, 6, 2]), torch.tensor([5, 7, 2]), torch.tensor([5, 5, 2, 2])]
    dataset = PairDataset(targets, [3, 3, 4], 0, targets, [3, 3, 4], None)
    assert unigram_entropy(dataset) == pytest.approx(2 * 0.4 * 1.3219 + 2 * 0.1 * 3.3219, abs=1e-3)


def test_the_report_says_so(tmp_path: Path):
    run_dir = write_run(tmp_path)
    assert "too short" not in read(write_report(run_dir)).text
    write_json(run_dir / "trained.json", {"updates": 5, "seconds": 1, "best": None})
    with (run_dir / "config.yaml").open("a") as file:
        file.write("lr_scheduler: {warmup_updates: 10}\ncriterion: {label_smoothing: 0.1}\n")
    text = " ".join(read(write_report(run_dir)).text.split())
    assert "This run was too short to have learned much: its 5 updates end within the warm-up" in text
    assert "Loss: cross entropy with label smoothing of 0.1, bits per target token" in text


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ({"label_smoothing": 0.0}, "cross entropy without smoothing, bits per target token"),
        ({"label_smoothing": 0.1, "rdrop": 5.0, "ctc_weight": 0.0},
         "cross entropy with label smoothing of 0.1 and terms weighted by rdrop=5, bits per target token"),
        ({"sentence_avg": True}, "cross entropy without smoothing, bits per sentence"),
    ],
)  # fmt: skip
def test_a_loss_is_described(criterion: dict, expected: str):
    assert describe_loss(criterion) == expected
