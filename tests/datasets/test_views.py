"""Views: other subwords of the same text, the beginning of long texts, the text behind a binarized corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from command_line import GENERATE, PREPROCESS, TRAIN, call, write_reversed
from fairseq.data import Dictionary, FairseqDataset, data_utils

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.datasets.views import OriginalText, SampledSubwords, TruncatedTexts
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from tests.text.test_codec import SENTENCES

# ------------------------------------------------------------- sampled subwords


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


def test_the_dataset_passes_the_epoch_on(sampled: SampledSubwords):
    dataset: FairseqDataset = PairDataset(sampled, sampled.sizes, 1.0, sampled, sampled.sizes, None)
    dataset.set_epoch(5)
    assert sampled.epoch == 5


# -------------------------------------------------------------- truncated texts


TEXTS = [torch.tensor([5, 6, 7, 8, 9, 2]), torch.tensor([5, 2]), torch.tensor([5, 6, 7, 2])]
SIZES = np.array([6, 2, 4])


def test_the_end_of_a_text_stays_its_last_token():
    texts = TruncatedTexts(TEXTS, SIZES, 4)
    assert [text.tolist() for text in texts] == [[5, 6, 7, 2], [5, 2], [5, 6, 7, 2]]
    assert texts.sizes.tolist() == [4, 2, 4] and len(texts) == 3


@pytest.mark.parametrize(("max_size", "kept"), [(4, [5, 6, 2]), (5, [5, 6, 7, 8, 2]), (6, [5, 6, 7, 8, 2])])
def test_a_token_keeps_its_factors(max_size: int, kept: list[int]):
    """Two ids a token, and </s>."""
    texts = TruncatedTexts([torch.tensor([5, 6, 7, 8, 9, 10, 2])], np.array([7]), max_size, group=2)
    assert texts[0].tolist() == kept and texts.sizes.tolist() == [len(kept)]


def task_of(folder: Path, **settings) -> Seq2SeqTask:
    cfg = Seq2SeqTaskConfig(data=str(folder), source_lang="src", target_lang="tgt", seed=1, **settings)
    return Seq2SeqTask.setup_task(cfg)


def test_all_ways_into_a_batch_are_the_same(toy: Path):
    task, whole = (task_of(toy, truncate_source=truncate, max_source_positions=4) for truncate in (True, False))
    for each in (task, whole):
        each.load_dataset("test")
    long, short = whole.dataset("test"), task.dataset("test")
    assert max(long.source_sizes) > 4 and max(short.source_sizes) == 4
    by_hand = task.build_dataset_for_inference([item["source"] for item in long], long.source_sizes)
    for index in range(len(long)):
        expected = long[index]["source"].tolist()
        expected = expected if len(expected) <= 4 else [*expected[:3], expected[-1]]
        assert short[index]["source"].tolist() == by_hand[index]["source"].tolist() == expected
        assert short[index]["target"].tolist() == long[index]["target"].tolist()


def test_alignments_of_whole_sources_do_not_go_with_it(tmp_path: Path):
    write_reversed(tmp_path, {"train": 20, "valid": 5})
    for split, lines in (("train", 20), ("valid", 5)):
        (tmp_path / f"{split}.src-tgt").write_text("0-0\n" * lines)
    call(f"{PREPROCESS} --trainpref train --validpref valid --align-suffix src-tgt", cwd=tmp_path)
    with pytest.raises(UserError, match=r"alignments require whole sources; set task.truncate_source=false"):
        task_of(tmp_path / "bin", truncate_source=True).load_dataset("valid")


def test_fairseqs_own_commands_read_the_beginning(toy: Path, tmp_path: Path):
    """Without it, fairseq leaves longer pairs out of the training and stops at longer ones in the test set."""
    limit = "--max-source-positions 4 --truncate-source"
    call(TRAIN.format(data=toy, save_dir=tmp_path) + f" --max-update 3 {limit}")
    done = call(GENERATE.format(data=toy, path=tmp_path / "checkpoint_last.pt") + f" {limit}").stdout
    sources = [line.split("\t")[1].split() for line in done.splitlines() if line.startswith("S-")]
    assert len(sources) == 13 and max(map(len, sources)) == 3


# ---------------------------------------------------------------- original text


@pytest.fixture
def dictionary() -> Dictionary:
    dictionary = Dictionary()
    dictionary.add_symbol("a")
    return dictionary


@pytest.mark.parametrize("text", ["a zebra\na\n", "a zebra\na", "a zebra\r\na\r\n", "a zebra\u2028a\x85\na\n"])
def test_lines_are_those_that_fairseq_reads(tmp_path: Path, dictionary: Dictionary, text: str):
    """Of ``--dataset-impl raw``; also where the last line has no end."""
    (tmp_path / "test.src").write_bytes(text.encode())
    items = data_utils.load_indexed_dataset(str(tmp_path / "test.src"), dictionary, "raw")
    original = OriginalText(tmp_path / "test.src", str, items, dictionary)
    assert [original.get_original_text(i).split() for i in range(2)] == [line.split() for line in items.lines]


def test_another_text_is_refused(tmp_path: Path, dictionary: Dictionary):
    (tmp_path / "test.src").write_text("a\na\n")
    with pytest.raises(UserError, match="expected 1 lines, as binarized, got 2"):
        OriginalText(tmp_path / "test.src", str, [dictionary.encode_line("a")], dictionary).get_original_text(0)


def test_without_the_text_tokens_stand_in(tmp_path: Path, dictionary: Dictionary):
    original = OriginalText(
        tmp_path / "none", str, [dictionary.encode_line("a zebra", add_if_not_exist=False)], dictionary
    )
    assert original.get_original_text(0) == "a <unk>"
