"""Minimum-risk training: gradient, and training by the command line."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from command_line import TRAIN, call
from fairseq.logging import metrics
from fairseq.models.lstm import LSTMModel
from fairseq.models.lstm import base_architecture as lstm_architecture
from two_letters import EOS, MAX_LEN, PAD, all_targets, batch, build_criterion, build_model, log_probability, unpadded

from s2s_plugin.criterions.minimum_risk import MinimumRiskCriterion
from s2s_plugin.criterions.sampling import sample_targets
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import Seq2SeqTask

CHOICES = [
    {"decoder_type": "luong", "attention": "general", "coverage": "sum"},
    {"decoder_type": "bahdanau", "attention": "additive", "coverage": "gated", "decoder_cell": "gru"},
    {"decoder_type": "gnmt", "attention": "multi_head", "decoder_layers": 2},
    {"decoder_type": "gnmt", "attention": "location", "pointer": True},
    {"locked_dropout": True, "ctc": True},
    {"adaptive_cutoffs": "5"},
]


@pytest.mark.parametrize("baseline", ["mean", "greedy"])
@pytest.mark.parametrize("options", CHOICES, ids=lambda options: "-".join(map(str, options.values())))
def test_gradient_is_the_formula(task: Seq2SeqTask, short: None, options: dict, baseline: str):
    """1/K sum_k (b_k - R_k) grad log P(Y'_k|X) of what was drawn, each sample scored by itself."""
    model, sample = build_model(task, dropout=0.3, **options), batch()
    criterion = build_criterion(task, samples=6, baseline=baseline, reward="chrf")
    inputs, target = sample["net_input"], sample["target"]
    torch.manual_seed(5)
    risk, rewards, baselines = criterion.risk(model, inputs, target)
    risk.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()

    torch.manual_seed(5)
    model.eval()
    limit = torch.tensor([MAX_LEN, MAX_LEN])
    drawn = sample_targets(model, inputs, limit, 6, criterion.draw, EOS, PAD)
    best = sample_targets(model, inputs, limit, 1, criterion.greedy, EOS, PAD)
    expected = torch.zeros(())
    for row in range(2):
        source, reference = inputs["src_tokens"][row][: inputs["src_lengths"][row]], task.text(target[row])
        own = drawn[6 * row : 6 * row + 6]
        scores = [criterion.reward(task.text(tokens), reference) for tokens in own]
        assert rewards[row].tolist() == pytest.approx(scores)
        for k, tokens in enumerate(own):
            others = scores[:k] + scores[k + 1 :]
            rival = sum(others) / 5 if baseline == "mean" else criterion.reward(task.text(best[row]), reference)
            assert baselines[row, k].item() == pytest.approx(rival)
            expected = expected + (rival - scores[k]) * log_probability(model, source, unpadded(tokens)) / 6
    assert expected.item() != 0
    assert risk.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    expected.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("ctc."):
            assert found[name] is None or not found[name].any()
            continue
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=lambda text, n=name: n + text)


@pytest.mark.parametrize(("baseline", "samples"), [("mean", 2), ("greedy", 1)])
def test_gradient_is_that_of_the_expected_risk(task: Seq2SeqTask, short: None, baseline: str, samples: int):
    """On average over many draws, within their standard error, equal to that of the sum over all targets."""
    model, sample = build_model(task, dropout=0.5), batch()
    criterion = build_criterion(task, samples=samples, baseline=baseline, reward="cer")
    source, target = sample["net_input"]["src_tokens"][:1], sample["target"][:1]
    parameters = list(model.parameters())

    model.eval()
    expected = torch.zeros(())
    for candidate in all_targets(MAX_LEN):
        reward = criterion.reward(task.text(torch.tensor(candidate)), task.text(target[0]))
        expected = expected - reward * log_probability(model, source[0], candidate).exp()
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(expected, parameters)])

    model.train()
    torch.manual_seed(2)
    rows, rounds = 100, 60
    inputs = {"src_tokens": source.expand(rows, -1), "src_lengths": torch.full((rows,), 4)}
    estimates = []
    for _ in range(rounds):
        risk, _, _ = criterion.risk(model, inputs, target.expand(rows, -1))
        estimates.append(torch.cat([g.flatten() for g in torch.autograd.grad(risk / rows, parameters)]))

    directions = torch.cat((exact.unsqueeze(0), torch.randn(7, len(exact))))
    directions /= directions.norm(dim=1, keepdim=True)
    projected = torch.stack(estimates) @ directions.T  # rounds x 8
    error = projected.std(0) / rounds**0.5
    assert ((projected.mean(0) - directions @ exact).abs() < 4 * error).all()
    assert projected[:, 0].mean() > 10 * error[0]  # half or none of it would be seen


def test_both_terms_have_their_share(task: Seq2SeqTask):
    model, sample = build_model(task, dropout=0.0), batch()

    def run(weight: float) -> tuple[float, dict]:
        criterion = build_criterion(task, mle_weight=weight, label_smoothing=0.1)
        torch.manual_seed(3)
        loss, size, log = criterion(model, sample)
        assert size == 5 and loss.requires_grad
        return loss.item(), log

    (risk, log), (mixed, _) = run(0.0), run(0.3)
    assert mixed == pytest.approx(0.7 * risk + 0.3 * log["loss"].item(), rel=1e-5)
    assert 0 < log["reward"].item() < 2 and log["loss"] != log["nll_loss"]

    model.eval()
    criterion = build_criterion(task, mle_weight=0.3, label_smoothing=0.1)
    loss, _, validated = criterion(model, sample)
    assert loss.item() == pytest.approx(log["loss"].item()) and "reward" not in validated


def test_gradient_reaches_everything_in_bf16(task: Seq2SeqTask):
    """What is drawn without a gradient must not leave casts without one in autocast's cache."""
    model = build_model(task)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _, _ = build_criterion(task, mle_weight=0.0)(model, batch())
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "criterion.samples must be at least 2 with criterion.baseline=mean, got 1"),
        (
            {"samples": 0, "baseline": "greedy"},
            "criterion.samples must be at least 1 with criterion.baseline=greedy, got 0",
        ),
        ({"mle_weight": 1.0}, "criterion.mle_weight must be in [0, 1), got 1.0"),
        ({"ignore_prefix_size": 1}, "ignore_prefix_size"),
    ],
)
def test_bad_options_are_refused(task: Seq2SeqTask, options: dict, message: str):
    with pytest.raises(UserError, match=re.escape(message)):
        build_criterion(task, **options)


def test_other_architectures_are_refused(task: Seq2SeqTask):
    args = Namespace(criterion="s2s_minimum_risk")
    lstm_architecture(args)
    model = LSTMModel.build_model(args, task).train()
    with pytest.raises(UserError, match="architecture s2s"):
        build_criterion(task)(model, batch())


def test_rewards_are_means_over_all_workers():
    logs = [
        {"loss": 5.0, "nll_loss": 4.0, "ntokens": 9, "nsentences": 3, "sample_size": 9, "reward": 1.5, "baseline": 3.0},
        {"loss": 2.0, "nll_loss": 1.0, "ntokens": 2, "nsentences": 1, "sample_size": 2, "reward": 0.5, "baseline": 0.0},
    ]
    assert MinimumRiskCriterion.logging_outputs_can_be_summed()
    summed = {name: logs[0][name] + logs[1][name] for name in logs[0]}
    for outputs in (logs, [summed]):
        with metrics.aggregate(new_root=True) as found:
            MinimumRiskCriterion.reduce_metrics(outputs)
        assert found["reward"].avg == 0.5 and found["baseline"].avg == 0.75
    with metrics.aggregate(new_root=True) as found:  # of a validation
        MinimumRiskCriterion.reduce_metrics([{"loss": 5.0, "nsentences": 3, "sample_size": 9, "ntokens": 9}])
    assert "reward" not in found


# ------------------------------------------------------------- command line


def logged(done: CompletedProcess, key: str) -> list[float]:
    """The values of ``key`` in fairseq's JSON lines."""
    return [float(value) for value in re.findall(rf'"{key}": "([\d.]+)"', done.stdout + done.stderr)]


@pytest.mark.slow
def test_a_trained_model_gets_better(toy: Path, tmp_path: Path):
    """By plain fairseq-train: a little cross entropy first, then the risk alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    common = " --valid-subset train --eval-metric exact --validate-interval 100 --log-interval 5"
    pretrained = call(TRAIN.format(data=toy, save_dir=first) + common + " --max-update 80")
    command = TRAIN.format(data=toy, save_dir=second).replace("label_smoothed_cross_entropy", "s2s_minimum_risk")
    tuned = call(
        f"{command} {common} --finetune-from-model {first}/checkpoint_last.pt --lr 0.001 --max-update 30 "
        "--reward exact --mle-weight 0"
    )
    rewards = logged(tuned, "reward")
    assert len(rewards) == 6 and rewards[-1] > rewards[0] + 0.2
    (before,), (after,) = logged(pretrained, "train_exact"), logged(tuned, "train_exact")
    assert before < 80 and after > before + 15
    state = torch.load(second / "checkpoint_last.pt", weights_only=True)
    assert state["cfg"]["criterion"]["reward"] == "exact"
    assert state["optimizer_history"][-1]["num_updates"] == 30  # counted from its own beginning
