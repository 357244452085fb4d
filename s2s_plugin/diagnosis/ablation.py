"""What the source is worth: the probability of the references with it, with another one, and with none."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.diagnosis.rare_words import group_tokens
from s2s_plugin.diagnosis.subject import Finding, Row, Subject, sample
from s2s_plugin.inference.translator import Translator
from s2s_plugin.search.scorer import log_likelihoods

ITEMS = 500
OWN, OTHER, NONE = "own", "another item's", "none"
SMALL_SHARE = 0.1  # of a token's bits that the source explains, below which the model hardly reads it


def by_source(subject: Subject) -> Finding:
    """Compare the references' bits per token, -log2 P(y_t | X, y_<t), with their sources X and with ablated ones.

    A model that reads its source predicts the references worse with the source of another item, half the test set away,
    or with none: a text of </s> alone, a signal of zeros. With the words of the source in another order it loses what
    it knows from their order.
    """
    translator = subject.translator(nbest=1)
    task = translator.task
    dataset = subject.dataset(translator)
    dataset = choose(dataset, sample(range(len(dataset)), ITEMS))
    if subject.from_signals:
        ablated = ablate_signals(dataset.sources)
    else:
        group = task.loader.source_group
        head = group if subject.outputs[0].direction else 0
        ablated = ablate_texts(dataset.sources, task.source_dictionary, group, head)
    bits = {name: bits_per_token(translator, dataset, sources) for name, sources in ablated.items()}
    rows: list[Row] = [
        {"source": name, "bits per token": round(each, 2), "perplexity": round(2**each, 1)}
        for name, each in bits.items()
    ]
    own, other, none = bits[OWN], bits[OTHER], bits[NONE]
    explained = max(0.0, 1 - own / min(other, none))
    verdict = (
        f"A token of the references costs {own:.1f} bits with its source, {other:.1f} with another item's and "
        f"{none:.1f} without: the source explains {explained:.0%}"
    )
    remedy = ""
    if explained < SMALL_SHARE:
        verdict += "; the model is hardly more than a language model of its targets"
        remedy = "longer training; more pairs; for conversations and code data.retrieval=true"
    note = (
        f"{len(dataset)} items, led along the references (teacher forcing), </s> included; perplexity is 2 to the "
        "power of the bits; training shows no model an empty source, so without one it may guess worse than need be"
    )
    return Finding("Use of the source", rows, f"{verdict}.", remedy, ("bits per token",), note)


def bits_per_token(translator: Translator, dataset: PairDataset, sources: Sequence[Tensor]) -> float:
    """Return the mean -log2 P(y_t | X, y_<t) of a dataset's targets with other sources: S ids, or S x ... features."""
    assert dataset.target_sizes is not None
    sizes = np.array([len(source) for source in sources])
    scores = log_likelihoods(translator.models[0], replace(dataset, sources=sources, source_sizes=sizes))
    return float(-scores.sum() / dataset.target_sizes.sum() / math.log(2))


def ablate_texts(
    sources: Sequence[Tensor], dictionary: Dictionary, group: int = 1, head: int = 0
) -> dict[str, list[Tensor]]:
    """Return texts of S ids, which end with </s>, and what to give a model in their place.

    Args:
        sources: of N items.
        dictionary: of their tokens.
        group: number of ids of a position: a token and its factors.
        head: number of ids at the beginning that stay: the tag of the target language.
    """
    return {
        OWN: list(sources),
        "own, words shuffled": shuffle_words(sources, dictionary, group, head),
        OTHER: [torch.cat((own[:head], other[head:])) for own, other in zip(sources, half_away(sources), strict=True)],
        NONE: [torch.cat((source[:head], source[-1:])) for source in sources],
    }


def ablate_signals(sources: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Return the S x ... features of N items, and what to give a model in their place."""
    return {OWN: list(sources), OTHER: half_away(sources), NONE: [torch.zeros_like(source) for source in sources]}


def half_away(sources: Sequence[Tensor]) -> list[Tensor]:
    """Return for each of N items the source of the item N / 2 later; neighbors may be of one document."""
    half = len(sources) // 2
    return [*sources[half:], *sources[:half]]


def shuffle_words(sources: Sequence[Tensor], dictionary: Dictionary, group: int = 1, head: int = 0) -> list[Tensor]:
    """Return texts with their words in another order, see :func:`ablate_texts`; tokens of a word stay together."""
    draw, shuffled = random.Random(1), []
    for source in sources:
        tokens = [dictionary[number] for number in source[head:-1:group].tolist()]
        words = [positions for _, positions in group_tokens(tokens)]
        draw.shuffle(words)
        ids = [source[head + group * position :][:group] for positions in words for position in positions]
        shuffled.append(torch.cat((source[:head], *ids, source[-1:])))
    return shuffled


def choose(dataset: PairDataset, numbers: Sequence[int]) -> PairDataset:
    """Return some items of a dataset."""
    assert dataset.targets is not None and dataset.target_sizes is not None
    rows = list(numbers)
    return PairDataset(
        [dataset.sources[number] for number in rows], dataset.source_sizes[rows], dataset.source_padding,
        [dataset.targets[number] for number in rows], dataset.target_sizes[rows], dataset.dictionary,
    )  # fmt: skip
