"""Minimum-risk training: samples, gradient and training by the command line."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from command_line import TRAIN, call
from fairseq.data import Dictionary
from fairseq.logging import metrics
from fairseq.models.lstm import LSTMModel
from fairseq.models.lstm import base_architecture as lstm_architecture
from omegaconf import OmegaConf

from s2s_plugin.criterions import minimum_risk
from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterion, Seq2SeqCriterionConfig
from s2s_plugin.criterions.minimum_risk import MinimumRiskConfig, MinimumRiskCriterion
from s2s_plugin.criterions.sampling import sample_targets, without_dropout
from s2s_plugin.errors import UserError
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig

PAD, EOS = 1, 2
TOKENS = [0, 2, 3, 4, 5]  # all but padding
MAX_LEN = 3


@pytest.fixture
def task(tmp_path: Path) -> Seq2SeqTask:
    """Two letters on either side."""
    dictionary = Dictionary()
    for letter in "ab":
        dictionary.add_symbol(letter)
    return Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), dictionary, dictionary)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit targets to a length at which all can be listed."""
    monkeypatch.setattr(minimum_risk, "MAX_LEN_A", 0)
    monkeypatch.setattr(minimum_risk, "MAX_LEN_B", MAX_LEN)


def build_model(task: Seq2SeqTask, **options) -> Seq2SeqModel:
    torch.manual_seed(0)
    sizes = {"encoder_embed_dim": 6, "encoder_hidden_size": 8, "decoder_embed_dim": 5, "decoder_hidden_size": 7}
    limits = {"max_source_positions": 100, "max_target_positions": 100}
    model = Seq2SeqModel.build_model(Seq2SeqConfig(**(sizes | limits | options)), task)
    for parameter in model.parameters():  # sharper than at the start of a training
        parameter.data *= 2
    return model.train()


def build_criterion(task: Seq2SeqTask, **options) -> MinimumRiskCriterion:
    cfg = OmegaConf.structured(MinimumRiskConfig(sentence_avg=False, **options))
    return MinimumRiskCriterion.build_criterion(cfg, task)


def batch() -> dict:
    """Two sources and their targets, of different lengths."""
    return {
        "net_input": {
            "src_tokens": torch.tensor([[4, 5, 5, EOS], [5, EOS, PAD, PAD]]),
            "src_lengths": torch.tensor([4, 2]),
            "prev_output_tokens": torch.tensor([[EOS, 4, 5], [EOS, 5, PAD]]),
        },
        "target": torch.tensor([[4, 5, EOS], [5, EOS, PAD]]),
        "ntokens": 5,
    }


def all_targets(max_len: int) -> list[list[int]]:
    """Every sequence that ends with </s>, or has the maximum length without."""
    active, ended = [[]], []
    for _ in range(max_len):
        longer = [before + [token] for before in active for token in TOKENS]
        ended += [target for target in longer if target[-1] == EOS]
        active = [target for target in longer if target[-1] != EOS]
    return ended + active


def log_probability(model: Seq2SeqModel, source: torch.Tensor, target: list[int]) -> torch.Tensor:
    """log P(target | source), one token after another, of one source alone; the model must be in evaluation mode."""
    memory = model.encode(source.unsqueeze(0), torch.tensor([len(source)]))
    state, last, total = model.decoder.rnn.initial_state(memory), EOS, torch.zeros(())
    for token in target:
        embedded = model.decoder.embedding(torch.tensor([last]))
        state, features, weights = model.decoder.rnn.step(embedded, state, memory)
        scores = model.decoder.generator(features, weights, memory)[0]
        total = total + scores[token] - scores[TOKENS].logsumexp(0)
        last = token
    return total


def without_padding(tokens: torch.Tensor) -> list[int]:
    return tokens[tokens.ne(PAD)].tolist()


# ------------------------------------------------------------------ samples


def test_targets_end_with_eos_or_at_their_own_limit(task: Seq2SeqTask):
    script = iter([[4, EOS, 5], [5, 5, EOS], [4, 4, 4], [5, 5, 5]])
    inputs = {"src_tokens": torch.tensor([[4, EOS], [5, EOS], [4, EOS]]), "src_lengths": torch.tensor([2, 2, 2])}
    limit = torch.tensor([3, 9, 9])
    targets = sample_targets(build_model(task), inputs, limit, 1, lambda logits: torch.tensor(next(script)), EOS, PAD)
    assert targets.tolist() == [[4, 5, 4], [EOS, PAD, PAD], [5, EOS, PAD]]


@pytest.mark.parametrize("decoder", ["luong", "bahdanau", "gnmt"])
def test_samples_follow_the_distribution_of_the_model(task: Seq2SeqTask, decoder: str):
    """Of each of two sources in a batch, in train mode: dropout must not touch them."""
    model, draws = build_model(task, dropout=0.5, decoder_type=decoder), 4000
    inputs, criterion = batch()["net_input"], build_criterion(task)
    torch.manual_seed(1)
    with without_dropout(model):
        drawn = sample_targets(model, inputs, torch.tensor([MAX_LEN, MAX_LEN]), draws, criterion.draw, EOS, PAD)
    assert len(drawn) == 2 * draws
    model.eval()
    for row in range(2):
        source = inputs["src_tokens"][row][: inputs["src_lengths"][row]]
        counts = Counter(tuple(without_padding(tokens)) for tokens in drawn[row * draws : (row + 1) * draws])
        targets = all_targets(MAX_LEN)
        with torch.no_grad():
            expected = torch.stack([log_probability(model, source, target) for target in targets]).exp()
        assert expected.sum().item() == pytest.approx(1, abs=1e-5)
        found = torch.tensor([counts.pop(tuple(target), 0) / draws for target in targets])
        assert not counts
        error = (expected * (1 - expected) / draws).sqrt()
        assert ((found - expected).abs() < 4.5 * error + 1 / draws).all()
        # Were all as likely, or the other source's, it would show.
        assert ((found - 1 / len(targets)).abs() > 4.5 * error + 1 / draws).any()


def test_without_dropout_gives_back_what_was_there(task: Seq2SeqTask):
    model = build_model(task, dropout=0.5, locked_dropout=True)
    layers = [module for module in model.modules() if isinstance(module, Dropout)]
    layers[0].eval()
    before = [module.training for module in model.modules()]
    with without_dropout(model):
        assert not any(layer.training for layer in layers) and model.training
    assert [module.training for module in model.modules()] == before


# ----------------------------------------------------------------- gradient

CHOICES = [
    {"decoder_type": "luong", "attention": "general"},
    {"decoder_type": "bahdanau", "attention": "additive", "coverage": "gated", "decoder_cell": "gru"},
    {"decoder_type": "gnmt", "attention": "multi_head", "decoder_layers": 2},
    {"decoder_type": "gnmt", "attention": "location", "pointer": True, "coverage": "sum"},
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
            expected = expected + (rival - scores[k]) * log_probability(model, source, without_padding(tokens)) / 6
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


@pytest.mark.parametrize("sentence_avg", [True, False])
def test_rdrop_counts_a_sentence_once(task: Seq2SeqTask, sentence_avg: bool):
    """Without dropout both passes are equal."""
    found = []
    for rdrop in (0.0, 1.0):
        cfg = Seq2SeqCriterionConfig(sentence_avg=sentence_avg, label_smoothing=0.1, rdrop=rdrop)
        criterion = Seq2SeqCriterion(task, cfg)
        loss, size, log = criterion(build_model(task, dropout=0.0), batch())
        found.append((loss.item(), size, log["nsentences"], log["sample_size"]))
    assert found[1] == pytest.approx(found[0], rel=1e-5)
