"""Attention weights and alignments of hypotheses."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.search.conftest import alone

EOS = 2


def test_no_alignment_unless_asked(build, batch, search):
    for hypotheses in search(build(), batch([4, 9]), beam=3, max_len_b=6):
        assert all(h["attention"] is None and h["alignment"] == [] for h in hypotheses)


@pytest.mark.parametrize("beam", [1, 4])
def test_alignments(build, batch, search, beam):
    model, sample = build(20, seed=5, end=4), batch([4, 9, 2, 6])
    soft = search(model, sample, beam=beam, max_len_b=9, print_alignment="soft")
    hard = search(model, sample, beam=beam, max_len_b=9, print_alignment="hard")
    for row, length in enumerate([4, 9, 2, 6]):
        (single,) = search(model, alone(sample, row), beam=beam, max_len_b=9, print_alignment="hard")
        for a, b, c in zip(soft[row], hard[row], single, strict=True):
            written = len(a["tokens"])
            assert a["attention"].shape == (length, written)
            assert_close(a["attention"].sum(0), torch.ones(written))
            assert [[float(x) for x in weights] for weights in a["alignment"]] == pytest.approx(
                a["attention"].t().numpy(), abs=1e-6
            )
            assert [target for _, target in b["alignment"]] == list(range(written - 1))
            assert [source for source, _ in b["alignment"]] == a["attention"].argmax(0).tolist()[:-1]
            assert b["alignment"] == c["alignment"]


@torch.no_grad()
def test_attention_is_that_of_teacher_forcing(build, batch, search):
    """It follows its hypothesis through every change of beams."""
    model, sample = build(20, seed=5, end=4), batch([4, 9, 2, 6])
    for row, hypotheses in enumerate(search(model, sample, beam=5, max_len_b=9, print_alignment="hard")):
        inputs = alone(sample, row)["net_input"]
        for h in hypotheses:
            previous = torch.cat((torch.tensor([EOS]), h["tokens"][:-1])).unsqueeze(0)
            _, extra = model(inputs["src_tokens"], inputs["src_lengths"], previous)
            assert_close(h["attention"].t(), extra["attn"][0][0], rtol=0, atol=1e-5)


def test_an_unknown_word_is_replaced_by_what_was_read(build, batch, search):
    """What fairseq-generate --replace-unk looks up: the source position of each symbol, never that of </s>."""
    model, sample = build(14, seed=2, end=1), batch([4, 6])
    for hypotheses, length in zip(search(model, sample, replace_unk=""), (4, 6), strict=True):
        for hypothesis in hypotheses:
            assert hypothesis["attention"].shape == (length, len(hypothesis["tokens"]))
            assert hypothesis["alignment"] == hypothesis["attention"][:-1].argmax(0).tolist()
