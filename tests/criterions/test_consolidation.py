"""Elastic weight consolidation against numeric derivatives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from two_letters import PAD, batch, build_model

from s2s_plugin.criterions.consolidation import Consolidation, consolidate
from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterion, Seq2SeqCriterionConfig
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import Seq2SeqTask
from s2s_plugin.utils.checkpoint import save_checkpoint

STEP = 1e-3


def singles(sample: dict) -> list[dict]:
    """Each pair of a batch as a batch of its own, without padding."""
    inputs, pairs = sample["net_input"], []
    for row, length in enumerate(inputs["src_lengths"].tolist()):
        target = sample["target"][row][sample["target"][row] != PAD]
        own = {"src_tokens": inputs["src_tokens"][row : row + 1, :length], "src_lengths": torch.tensor([length])}
        own["prev_output_tokens"] = inputs["prev_output_tokens"][row : row + 1, : len(target)]
        pairs.append({"net_input": own, "target": target.unsqueeze(0)})
    return pairs


@pytest.fixture
def model(task: Seq2SeqTask):
    torch.manual_seed(1)
    return build_model(task)


def log_probability(model, sample: dict) -> float:
    model.eval()
    with torch.no_grad():
        logits, _ = model(**sample["net_input"])
    scores = logits.double().log_softmax(-1).gather(2, sample["target"].unsqueeze(2)).squeeze(2)
    return scores.sum().item()


def test_the_fisher_information_is_the_mean_square_of_numeric_derivatives(model):
    pairs = singles(batch())
    fisher = consolidate(model, pairs).fisher
    for name in ("decoder.generator.output.weight", "decoder.rnn.cells.0.input_proj.weight"):
        flat = model.get_parameter(name).data.view(-1)
        for place in fisher[name].flatten().topk(3).indices.tolist():
            slopes, before = [], flat[place].item()
            for sample in pairs:
                values = []
                for change in (STEP, -STEP):
                    flat[place] = before + change
                    values.append(log_probability(model, sample))
                slopes.append((values[0] - values[1]) / (2 * STEP))
            flat[place] = before
            expected = sum(slope**2 for slope in slopes) / len(slopes)
            assert fisher[name].flatten()[place].item() == pytest.approx(expected, rel=2e-2)


def test_the_gradient_is_that_of_the_penalty(task: Seq2SeqTask, model, tmp_path: Path):
    consolidate(model, singles(batch())).save(tmp_path / "fisher.pt")
    kept = Consolidation.load(tmp_path / "fisher.pt")
    assert kept(model).item() == 0  # nothing has moved yet
    model.train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    expected = sum(
        (kept.fisher[n] * (p.detach() - kept.weights[n]) ** 2).sum() for n, p in model.named_parameters()
    ) / 2  # fmt: skip
    losses, grads = [], []
    for options in (
        {},
        {"ewc": 0.0, "ewc_file": str(tmp_path / "none")},
        {"ewc": 0.5, "ewc_file": str(tmp_path / "fisher.pt")},
    ):
        model.zero_grad()
        torch.manual_seed(2)  # of dropout
        loss, size, _ = Seq2SeqCriterion(task, Seq2SeqCriterionConfig(sentence_avg=False, **options))(model, batch())
        loss.backward()
        losses.append(loss.item())
        grads.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    assert losses[0] == losses[1]
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in grads[0])  # weight 0 is no penalty
    assert losses[2] - losses[0] == pytest.approx(0.5 * size * expected.item(), rel=1e-4)
    for name, parameter in model.named_parameters():
        added = 0.5 * size * kept.fisher[name] * (parameter.detach() - kept.weights[name])
        torch.testing.assert_close(grads[2][name], grads[0][name] + added, rtol=1e-4, atol=1e-5)
    model.eval()  # validation has no penalty
    criteria = [Seq2SeqCriterion(task, Seq2SeqCriterionConfig(sentence_avg=False, **each)) for each in ({}, options)]
    assert criteria[0](model, batch())[0] == criteria[1](model, batch())[0]


def test_refusals(task: Seq2SeqTask, model, tmp_path: Path):
    def criterion(**options):
        return Seq2SeqCriterion(task, Seq2SeqCriterionConfig(sentence_avg=False, **options))

    with pytest.raises(UserError, match=r"criterion\.ewc must not be negative, got -1"):
        criterion(ewc=-1.0)
    with pytest.raises(UserError, match=r"criterion\.ewc requires finetune_from=RUN"):
        criterion(ewc=1.0)
    save_checkpoint({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"not a file of criterion\.ewc"):
        criterion(ewc=1.0, ewc_file=str(tmp_path / "other.pt"))
    Consolidation({"w": torch.ones(1)}, {"w": torch.ones(1)}).save(tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="of another model"):
        Consolidation.load(tmp_path / "foreign.pt")(model)
