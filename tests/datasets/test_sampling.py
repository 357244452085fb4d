"""Subword regularisation: other subwords of the same text, the same again for the same epoch."""

from __future__ import annotations

import pytest
import sentencepiece
import torch
from fairseq.data import FairseqDataset

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.datasets.sampling import SampledSubwords
from tests.text.test_codec import SENTENCES


class Texts(list):
    """Items with sizes, as an indexed dataset has them."""

    @property
    def sizes(self):
        return [len(item) for item in self]


@pytest.fixture(params=[("unigram", 0.2), ("bpe", 0.1)], ids=["unigram", "bpe"])
def sampled(tmp_path, request) -> SampledSubwords:
    kind, alpha = request.param
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES[:4] * 3),
        model_prefix=str(tmp_path / "spm"),
        model_type=kind,
        vocab_size=150,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    texts = Texts(torch.tensor([*pieces.encode(line), pieces.eos_id()]) for line in SENTENCES[:5])
    return SampledSubwords(texts, pieces, alpha)


def test_text_stays_and_subwords_change(sampled: SampledSubwords):
    cuts = {tuple(sampled[0].tolist()) for epoch in range(1, 9) if sampled.set_epoch(epoch) is None}
    assert len(cuts) > 4
    assert all(cut[-1] == 2 for cut in cuts)
    assert {sampled.pieces.decode(list(cut[:-1])) for cut in cuts} == {SENTENCES[0]}


def test_an_epoch_is_the_same_again(sampled: SampledSubwords):
    sampled.set_epoch(3)
    first = [sampled[i].tolist() for i in range(4)]
    assert [sampled[i].tolist() for i in reversed(range(4))][::-1] == first
    again = SampledSubwords(sampled.texts, sampled.pieces, sampled.alpha)
    again.set_epoch(3)
    assert [again[i].tolist() for i in range(4)] == first
    other = SampledSubwords(sampled.texts, sampled.pieces, sampled.alpha, seed=2)
    other.set_epoch(3)
    assert [other[i].tolist() for i in range(4)] != first


def test_what_cannot_be_spelt_stays_as_it_is(sampled: SampledSubwords):
    assert sampled.texts[4].eq(3).any()  # Korean, which the model has not seen
    assert sampled[4].tolist() == sampled.texts[4].tolist()


def test_the_data_set_hands_on_the_epoch(sampled: SampledSubwords):
    dataset: FairseqDataset = PairDataset(sampled, sampled.sizes, 1.0, sampled, sampled.sizes, None)
    dataset.set_epoch(5)
    assert sampled.epoch == 5
