"""The criterion's terms against plain computations."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from omegaconf import OmegaConf
from two_letters import batch, build_model

from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterion, Seq2SeqCriterionConfig
from s2s_plugin.criterions.losses import (
    coverage_loss,
    ctc_loss,
    doubly_stochastic_loss,
    duplicate_batch,
    guided_alignment_loss,
    symmetric_kl,
)
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import Seq2SeqTask

PAD, EOS, BLANK = 1, 2, 0


def by_all_paths(log_probabilities: torch.Tensor, target: list[int]) -> float:
    """-log of the summed probability of every path of S labels that spells ``target``."""
    steps, labels = log_probabilities.shape
    total = 0.0
    for path in itertools.product(range(labels), repeat=steps):
        path_labels = [label for label, _ in itertools.groupby(path) if label != BLANK]
        if path_labels == target:
            total += math.exp(sum(log_probabilities[step, label].item() for step, label in enumerate(path)))
    return -math.log(total)


def test_ctc_is_the_sum_over_all_paths():
    torch.manual_seed(0)
    logits = torch.randn(3, 5, 6)
    lengths = [5, 4, 3]
    padding_mask = torch.tensor([[step >= length for step in range(5)] for length in lengths])
    target = torch.tensor([[4, 5, 4, EOS], [5, 5, EOS, PAD], [4, EOS, PAD, PAD]])
    expected = sum(
        by_all_paths(logits[row, : lengths[row]].log_softmax(-1), labels_of_row)
        for row, labels_of_row in enumerate([[4, 5, 4], [5, 5], [4]])
    )
    loss = ctc_loss(logits, padding_mask, target, PAD, EOS, BLANK)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_ctc_of_a_target_longer_than_the_memory_is_left_out():
    logits = torch.randn(1, 2, 6, requires_grad=True)
    loss = ctc_loss(logits, torch.zeros(1, 2, dtype=torch.bool), torch.tensor([[4, 4, 5, EOS]]), PAD, EOS, BLANK)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_doubly_stochastic_loss():
    attention = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], [[0.2, 0.8], [0.2, 0.8], [9.0, 9.0]]])
    target_mask = torch.tensor([[True, True, True], [True, True, False]])
    expected = (1 - 1.5) ** 2 + (1 - 1.5) ** 2 + (1 - 0.4) ** 2 + (1 - 1.6) ** 2
    assert doubly_stochastic_loss(attention, target_mask).item() == pytest.approx(expected)
    even = torch.full((1, 4, 4), 0.25)
    assert doubly_stochastic_loss(even, torch.ones(1, 4, dtype=torch.bool)).item() == 0


def test_coverage_loss_is_repeated_attention():
    attention = torch.tensor([[[0.7, 0.3], [0.5, 0.5], [0.1, 0.9]], [[1.0, 0.0], [1.0, 0.0], [9.0, 9.0]]])
    target_mask = torch.tensor([[True, True, True], [True, True, False]])
    first = 0 + (min(0.5, 0.7) + min(0.5, 0.3)) + (min(0.1, 1.2) + min(0.9, 0.8))
    assert coverage_loss(attention, target_mask).item() == pytest.approx(first + 1.0)


def test_guided_alignment_loss_is_of_aligned_steps():
    attention = torch.tensor([[[0.7, 0.3, 0.0], [0.2, 0.5, 0.3]], [[1.0, 0.0, 0.0], [0.4, 0.6, 0.0]]])
    links = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 1, 2], [1, 1, 0], [1, 1, 0]])  # item, target, source
    expected = -math.log(0.7) - math.log(0.5 + 0.3) - math.log(0.4)  # item 1, step 0 is not aligned
    assert guided_alignment_loss(attention, links).item() == pytest.approx(expected)
    assert guided_alignment_loss(attention, links[:0]).item() == 0


def test_symmetric_kl_is_the_mean_of_both_divergences():
    torch.manual_seed(0)
    p, q = torch.randn(2, 3, 5).log_softmax(-1), torch.randn(2, 3, 5).log_softmax(-1)
    target_mask = torch.tensor([[True, True, True], [True, False, False]])
    there = (p.exp() * (p - q)).sum(2)[target_mask].sum()
    back = (q.exp() * (q - p)).sum(2)[target_mask].sum()
    loss = symmetric_kl(torch.cat((p, q)), torch.cat((target_mask, target_mask)))
    assert loss.item() == pytest.approx((there + back).item() / 2, rel=1e-5)
    assert symmetric_kl(torch.cat((p, p)), torch.cat((target_mask, target_mask))).item() == 0


def test_duplicate_batch_repeats_items_and_alignments():
    sample = {
        "ntokens": 5,
        "target": torch.tensor([[5, EOS, PAD], [6, 7, EOS]]),
        "net_input": {"src_tokens": torch.arange(6).view(2, 3), "features_only": True},
        "alignments": torch.tensor([[0, 0, 1], [1, 1, 0]]),
    }
    both = duplicate_batch(sample)
    assert both["ntokens"] == 5 and both["net_input"]["features_only"] is True
    assert torch.equal(both["target"][2:], sample["target"])
    assert torch.equal(both["net_input"]["src_tokens"][2:], sample["net_input"]["src_tokens"])
    assert both["alignments"].tolist() == [[0, 0, 1], [1, 1, 0], [2, 0, 1], [3, 1, 0]]


REFUSED = {
    "factors": ({"encoder_factors": 1}, {"alignment_weight": 1.0}, "model.encoder_pyramid=0, no factors"),
    "pyramid": (
        {"encoder_layers": 2, "encoder_pyramid": 1},
        {"alignment_weight": 1.0},
        "model.encoder_pyramid=0, no factors",
    ),
    "accuracy": ({"adaptive_cutoffs": "5"}, {"report_accuracy": True}, "report_accuracy"),
    "rdrop": ({"adaptive_cutoffs": "5"}, {"rdrop": 1.0}, "rdrop"),
    "smoothing": ({"adaptive_cutoffs": "5"}, {"label_smoothing": 0.1}, "label_smoothing=0"),
}


@pytest.mark.parametrize(("model", "criterion", "reason"), REFUSED.values(), ids=REFUSED)
def test_losses_that_a_model_cannot_give_are_refused(task: Seq2SeqTask, model: dict, criterion: dict, reason: str):
    cfg = OmegaConf.structured(Seq2SeqCriterionConfig(sentence_avg=False, **criterion))
    built_criterion = Seq2SeqCriterion.build_criterion(cfg, task)
    sample = {
        "net_input": {
            "src_tokens": torch.tensor([[4, 5, 4, EOS]]),
            "src_lengths": torch.tensor([4]),
            "prev_output_tokens": torch.tensor([[EOS, 4]]),
        },
        "target": torch.tensor([[4, EOS]]),
        "ntokens": 2,
        "alignments": torch.tensor([[0, 0, 0]]),
    }
    with pytest.raises(UserError, match=reason):
        built_criterion(build_model(task, **model), sample)


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
