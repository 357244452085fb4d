"""Samples of the model: whole targets, and previous tokens in scheduled sampling."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from two_letters import EOS, MAX_LEN, PAD, all_targets, batch, build_criterion, build_model, log_probability, unpadded

from s2s_plugin.criterions.sampling import sample_targets, scheduled_sampling, without_dropout
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.tasks.seq2seq import Seq2SeqTask


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
        counts = Counter(tuple(unpadded(tokens)) for tokens in drawn[row * draws : (row + 1) * draws])
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


class Parrot(torch.nn.Module):
    """Predicts token 7 after anything."""

    def forward(self, prev_output_tokens: torch.Tensor, features_only: bool = False):
        logits = torch.full((*prev_output_tokens.shape, 9), -1e9)
        logits[..., 7] = 0
        return logits, {}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_scheduled_sampling_replaces_a_share_of_the_previous_tokens(share: float):
    torch.manual_seed(0)
    target = torch.full((200, 10), 5)
    target[::2, 6:] = PAD
    previous = torch.cat((torch.full((200, 1), EOS), target[:, :-1]), 1)
    previous[::2, 6:] = PAD
    mixed = scheduled_sampling(Parrot(), {"prev_output_tokens": previous}, target, PAD, share)
    assert mixed[:, 0].eq(EOS).all()
    assert torch.equal(mixed.eq(PAD), previous.eq(PAD))
    body = mixed[:, 1:][previous[:, 1:].ne(PAD)]
    assert body.eq(7).float().mean().item() == pytest.approx(share, abs=0.05)
    assert set(body.tolist()) <= {5, 7}
