"""Batches: padding, shifted targets, every item once, order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig

PAD, EOS = 1, 2


@pytest.fixture
def dictionary():
    dictionary = Dictionary()
    for index in range(20):
        dictionary.add_symbol(f"w{index}")
    return dictionary


def random_pairs(count: int, dictionary: Dictionary, features: int | None = None, shuffle: bool = False, targets=True):
    """Sources of ids, or of ``features`` numbers a step; targets of 2 to 7 ids."""
    generator = torch.Generator().manual_seed(count)

    def sequences(shortest: int, longest: int) -> list[torch.Tensor]:
        lengths = torch.randint(shortest, longest, (count,), generator=generator).tolist()
        words = [torch.randint(4, len(dictionary), (length,), generator=generator) for length in lengths]
        for word in words:
            word[-1] = EOS
        return words

    sources, wanted = sequences(1, 10), sequences(2, 8)
    if features is not None:
        sources = [torch.randn(len(source), features, generator=generator) for source in sources]
    return PairDataset(
        sources,
        np.array([len(source) for source in sources]),
        PAD if features is None else 0.0,
        wanted if targets else None,
        np.array([len(target) for target in wanted]) if targets else None,
        dictionary,
        shuffle,
    )


# ----------------------------------------------------------------- collate


def test_collate_pads_on_the_right(dictionary):
    dataset = random_pairs(13, dictionary)
    rows = [4, 0, 12, 7]
    batch = dataset.collater([dataset[row] for row in rows])
    rows.sort(key=lambda row: -len(dataset.sources[row]))  # long sources first, as fairseq's own LSTM wants them
    assert batch["id"].tolist() == rows
    assert batch["nsentences"] == 4
    assert batch["ntokens"] == sum(len(dataset.targets[row]) for row in rows)
    assert set(batch["net_input"]) == {"src_tokens", "src_lengths", "prev_output_tokens"}
    source, lengths = batch["net_input"]["src_tokens"], batch["net_input"]["src_lengths"]
    assert lengths.tolist() == [len(dataset.sources[row]) for row in rows]
    assert source.shape == (4, max(lengths))
    for position, row in enumerate(rows):
        text, target = dataset.sources[row].tolist(), dataset.targets[row].tolist()
        assert source[position].tolist() == text + [PAD] * (source.size(1) - len(text))
        assert batch["target"][position].tolist() == target + [PAD] * (batch["target"].size(1) - len(target))


def test_previous_tokens_are_the_shifted_target(dictionary):
    dataset = random_pairs(13, dictionary)
    batch = dataset.collater([dataset[row] for row in range(13)])
    previous, target = batch["net_input"]["prev_output_tokens"], batch["target"]
    assert previous.shape == target.shape
    for before, after in zip(previous.tolist(), target.tolist(), strict=True):
        length = after.index(EOS) + 1
        assert before[:length] == [EOS, *after[: length - 1]]
        assert before[length:] == [PAD] * (len(before) - length)


def test_collate_features(dictionary):
    dataset = random_pairs(5, dictionary, features=3)
    batch = dataset.collater([dataset[row] for row in range(5)])
    source, lengths = batch["net_input"]["src_tokens"], batch["net_input"]["src_lengths"]
    assert source.shape == (5, max(lengths), 3)
    assert source.dtype == torch.float32
    for place, (row, length) in enumerate(zip(batch["id"].tolist(), lengths.tolist(), strict=True)):
        assert torch.equal(source[place, :length], dataset.sources[row])
        assert source[place, length:].eq(0).all()


def test_collate_without_targets(dictionary):
    dataset = random_pairs(5, dictionary, targets=False)
    batch = dataset.collater([dataset[row] for row in range(5)])
    assert batch["target"] is None
    assert set(batch["net_input"]) == {"src_tokens", "src_lengths"}
    assert batch["ntokens"] == int(batch["net_input"]["src_lengths"].sum())
    assert sorted(dataset.ordered_indices().tolist()) == list(range(5))
    assert dataset.size(3) == dataset.num_tokens(3) == len(dataset.sources[3])


def test_collate_nothing(dictionary):
    assert random_pairs(3, dictionary).collater([]) == {}


# ------------------------------------------------------------------- sizes


def test_sizes_count_the_longer_side(dictionary):
    dataset = random_pairs(13, dictionary)
    pairs = [(len(s), len(t)) for s, t in zip(dataset.sources, dataset.targets, strict=True)]
    assert [tuple(row) for row in dataset.sizes.tolist()] == pairs == [dataset.size(i) for i in range(13)]
    assert [dataset.num_tokens(i) for i in range(13)] == [max(pair) for pair in pairs]
    assert dataset.num_tokens_vec(np.arange(13)).tolist() == [max(pair) for pair in pairs]


def test_factors_do_not_count_in_a_batch(dictionary):
    """Three ids stand for a token with two factors; </s> has none."""
    dataset = random_pairs(13, dictionary)
    dataset.source_sizes, dataset.source_group = 3 * dataset.source_sizes - 2, 3
    pairs = [(len(source), len(target)) for source, target in zip(dataset.sources, dataset.targets, strict=True)]
    assert dataset.num_tokens_vec(np.arange(13)).tolist() == [max(pair) for pair in pairs]


def test_filter_by_size(dictionary):
    dataset = random_pairs(40, dictionary)
    kept, dropped = dataset.filter_indices_by_size(np.arange(40), (6, 5))
    fits = [s <= 6 and t <= 5 for s, t in dataset.sizes.tolist()]
    assert kept.tolist() == [i for i in range(40) if fits[i]]
    assert sorted(dropped) == [i for i in range(40) if not fits[i]]
    assert 0 < len(dropped) < 40


# ------------------------------------------------------------------- order


def test_order_is_by_source_then_target_length(dictionary):
    dataset = random_pairs(200, dictionary)
    order = dataset.ordered_indices()
    keys = [(*dataset.size(i), i) for i in order.tolist()]
    assert keys == sorted(keys)  # ties in corpus order
    assert len(set(order.tolist())) == 200


def test_shuffle_moves_ties_alone_and_obeys_the_seed(dictionary):
    dataset = random_pairs(200, dictionary, shuffle=True)
    orders = []
    for seed in (1, 1, 2):
        np.random.seed(seed)  # noqa: NPY002, as fairseq does
        orders.append(dataset.ordered_indices().tolist())
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        lengths = [dataset.size(i) for i in order]
        assert lengths == sorted(lengths)
        assert sorted(order) == list(range(200))


# ----------------------------------------------------------------- batches


@pytest.mark.parametrize(
    "limits", [{"max_sentences": 4}, {"max_tokens": 21}, {"max_sentences": 8}, {"max_sentences": 13}]
)
@pytest.mark.parametrize("count", [1, 13, 21])
def test_every_item_is_in_one_batch(dictionary, tmp_path, limits, count):
    """Also with fairseq's default required_batch_size_multiple, which elsewhere drops the remainder."""
    task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), dictionary, dictionary)
    dataset = random_pairs(count, dictionary)
    iterator = task.get_batch_iterator(dataset, required_batch_size_multiple=8, **limits)
    batches = list(iterator.next_epoch_itr(shuffle=False))
    ids = [i for batch in batches for i in batch["id"].tolist()]
    assert sorted(ids) == list(range(count))
    for batch in batches:
        assert batch["nsentences"] <= limits.get("max_sentences", count)
        if "max_tokens" in limits:
            longest = max(max(batch["net_input"]["src_tokens"].shape[1], batch["target"].shape[1]), 1)
            assert longest * batch["nsentences"] <= limits["max_tokens"]


def test_inference_dataset_takes_lines(dictionary, tmp_path):
    task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), dictionary, dictionary)
    lines = [dictionary.encode_line(text, add_if_not_exist=False).long() for text in ("w1 w2 w3", "w4", "w5 w6")]
    dataset = task.build_dataset_for_inference(lines, [len(line) for line in lines])
    batch = dataset.collater([dataset[i] for i in range(3)])
    assert batch["target"] is None
    assert batch["id"].tolist() == [0, 2, 1]
    assert batch["net_input"]["src_lengths"].tolist() == [4, 3, 2]
    assert batch["net_input"]["src_tokens"][2].tolist() == [8, EOS, PAD, PAD]
    assert dataset.ordered_indices().tolist() == [1, 2, 0]
