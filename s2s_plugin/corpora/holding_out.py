"""Hold out groups of the user's pairs: those that share a side stay together, so that none has to be dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.dialogues import question_key
from s2s_plugin.corpora.splits import Splits, collect, split_name
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import hash_fraction

MAX_HELD_OUT = 0.1  # of the training items, for valid and for test each
MAX_GROUP = 0.1  # of the pairs; where more are connected, targets repeat by nature


def hold_out(pairs: Sequence[Pair], size: int, side: int | None = None) -> Splits:
    """Split different pairs so that nothing is in training that shares a side with what is held out.

    Where most pairs are connected by their targets, as labels or replies are, only sources are not shared.

    Args:
        pairs: different ones.
        size: of valid and of test each, about; at most a tenth of the pairs.
        side: by which alone pairs are grouped and placed, as in a corpus of several directions; of a conversation, the
            last turn counts.
    """
    if side is not None:
        names = [question_key(pair[side]) for pair in pairs]
        return collect(zip(place(connect([(name,) for name in names]), names, size), pairs, strict=True))
    labels = connect([tuple(map(match_key, pair)) for pair in pairs])
    if len(pairs) >= 1 / MAX_GROUP and np.bincount(labels).max() > MAX_GROUP * len(pairs):
        note("targets repeat, as labels and replies do: held-out sources are not in training, but targets may be")
        labels = connect([(match_key(source),) for source, _ in pairs])
    return collect(zip(place(labels, list(map("\t".join, pairs)), size), pairs, strict=True))


def connect(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the number of each item's group, from its keys: items that share a key at a place are in one group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    nodes: dict[tuple[int, str], int] = {}
    ends = [nodes.setdefault(key, len(keys) + len(nodes)) for item in keys for key in enumerate(item)]
    starts = np.repeat(np.arange(len(keys)), [len(item) for item in keys])
    size = len(keys) + len(nodes)
    graph = coo_matrix((np.ones(len(ends), dtype=bool), (starts, ends)), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(keys)]


def place(labels: np.ndarray, names: Sequence[str], size: int) -> list[str]:
    """Return the split of each item: of its group by the hash of the first of its names in the alphabet, of any size.

    So a group moves only if data are added with a name before that. A group larger than a held-out set is trained on.

    Args:
        labels: the number of each item's group.
        names: of the items.
        size: of valid and of test each, about; at most a tenth of the items.
    """
    sizes = np.bincount(labels)
    target_size = min(size, MAX_HELD_OUT * len(names))
    first: dict[int, str] = {}
    for label, name in zip(labels.tolist(), names, strict=True):
        first[label] = min(first.get(label, name), name)
    small = [label for label in first if sizes[label] <= max(1, target_size)]
    fraction = min(target_size / max(1, int(sizes[small].sum())), 1 / 3)
    where = dict.fromkeys(first, "train") | {label: split_name(first[label], fraction, fraction) for label in small}
    order = sorted(small or first, key=lambda label: hash_fraction(first[label]))
    for split in ("test", "valid"):  # by chance few large groups may leave one empty
        rest = [label for label in order if where[label] == "train"]
        if target_size >= 1 and split not in where.values() and len(rest) > 1:
            where[rest[0]] = split
    return [where[label] for label in labels.tolist()]
