"""Similar texts: candidates by MinHash of character n-grams, in files; confirmed by edit distance."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

SIMILARITY = 0.9  # 1 - edits / length of the longer text, from which two texts are near
MIN_LENGTH = 20  # characters; in shorter texts a tenth is less than two letters
WORD_SIMILARITY, MIN_WORD = 0.8, 4  # of two forms of a word, which begin with the same letter
SHORT_WORD = re.compile("(?!n[eio]$)(?=.?[aeiouy])[a-z]{1,2}")  # that may be added: an, is, of; no negation, no rt
NGRAM = 4  # characters
BANDS, ROWS = 8, 4  # texts whose n-grams overlap by 70 % (Jaccard) share one of 8 bands of 4 minima in 89 % of cases
BUCKETS = 64  # files; one is in memory at a time
NEIGHBORS = 2  # earlier texts in a band that a text is compared with, and the first
HELD_OUT_NEIGHBORS = 16  # the same of a held-out text
ENTRY = np.dtype([("band", np.uint64), ("id", np.int64)])
NUMBER = re.compile(r"\d+")

_random = np.random.default_rng(1)
MULTIPLIERS, OFFSETS, FOLD = (
    _random.integers(1, 2**63, size, dtype=np.uint64) | np.uint64(1) for size in (BANDS * ROWS, BANDS * ROWS, ROWS)
)
MIX = np.uint64(0x9E3779B97F4A7C15)


def signatures(texts: Sequence[str]) -> np.ndarray:
    """Return the bands of texts of at least ``NGRAM`` characters, N x ``BANDS`` (Broder 1997, MinHash)."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.uint64)
    sizes = np.fromiter(map(len, texts), np.int64)
    grams = np.zeros(len(codes) - NGRAM + 1, np.uint64)
    for place in range(NGRAM):
        grams = grams * np.uint64(1_000_003) + codes[place : place + len(grams)]
    owner = np.repeat(np.arange(len(texts)), sizes)
    grams = grams[owner[: len(grams)] == owner[NGRAM - 1 :]]  # none that spans two texts
    grams = (grams ^ (grams >> np.uint64(29))) * MIX
    starts = np.concatenate(([0], np.cumsum(sizes - NGRAM + 1)[:-1]))
    minima = np.empty((len(texts), BANDS * ROWS), np.uint64)
    for number, (multiplier, offset) in enumerate(zip(MULTIPLIERS, OFFSETS, strict=True)):
        minima[:, number] = np.minimum.reduceat((grams * multiplier + offset) >> np.uint64(32), starts)
    bands = (minima.reshape(-1, BANDS, ROWS) * FOLD).sum(2, dtype=np.uint64)
    bands = (bands ^ (bands >> np.uint64(31))) * MIX
    return bands + np.arange(BANDS, dtype=np.uint64)


class NearIndex:
    """Texts by their bands, in files of a folder: memory grows by 2 bytes a text."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self.files = [(folder / str(number)).open("w+b") for number in range(BUCKETS)]

    def add(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        """Add texts with their increasing ids; short ones have no near ones."""
        chosen = [number for number, text in enumerate(texts) if len(text) >= MIN_LENGTH]
        if not chosen:
            return
        bands = signatures([texts[number] for number in chosen])
        entries = np.empty(bands.size, ENTRY)
        entries["band"] = bands.ravel()
        entries["id"] = np.repeat(np.asarray(ids, np.int64)[chosen], BANDS)
        buckets = (entries["band"] >> np.uint64(20)) % np.uint64(BUCKETS)
        order = buckets.argsort(kind="stable")
        ends = np.searchsorted(buckets[order], np.arange(1, BUCKETS))
        for file, part in zip(self.files, np.split(entries[order], ends), strict=True):
            part.tofile(file)

    def candidates(self, first_held_out: int) -> Iterator[np.ndarray]:
        """Yield pairs of ids that share a band, M x 2 with the smaller id first, each pair perhaps several times.

        Ids from ``first_held_out`` on are held out. How many pairs there are is bounded by the number of texts.
        """
        for file in self.files:
            file.flush()
            file.seek(0)
            entries = np.fromfile(file, ENTRY)
            file.close()
            entries = entries[np.lexsort((entries["id"], entries["band"]))]
            yield _pairs(entries["band"], entries["id"], first_held_out)


def _pairs(bands: np.ndarray, ids: np.ndarray, first_held_out: int) -> np.ndarray:
    starts = np.flatnonzero(np.concatenate(([True], bands[1:] != bands[:-1]))) if len(bands) else np.empty(0, int)
    first = np.repeat(starts, np.diff(np.append(starts, len(bands))))  # place of the first text of the same band
    place = np.arange(len(bands))
    found = [np.stack((ids[first], ids), axis=1)[first < place]]
    for distance in range(1, HELD_OUT_NEIGHBORS + 1):
        near = place - distance > first
        if distance > NEIGHBORS:
            near &= ids >= first_held_out
        later = place[near]
        found.append(np.stack((ids[later - distance], ids[later]), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def are_near(one: str, other: str) -> bool:
    """Return whether two keys say the same in nearly the same words.

    They differ in a tenth of their characters at most, in no number, and in no word but for its spelling or ending, or
    for short words such as articles: "a red dog" is not near "a brown dog".
    """
    if one == other:
        return True
    letters = one.replace(" ", ""), other.replace(" ", "")
    if min(map(len, letters)) < MIN_LENGTH or NUMBER.findall(one) != NUMBER.findall(other):
        return False
    if Levenshtein.normalized_similarity(one, other, score_cutoff=SIMILARITY) < SIMILARITY:
        return False
    words, others = one.split(), other.split()
    changes = [change for change in Levenshtein.opcodes(words, others) if change.tag != "equal"]
    return letters[0] == letters[1] or all(
        _same_meaning(words[change.src_start : change.src_end], others[change.dest_start : change.dest_end])
        for change in changes
    )


def _same_meaning(words: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a part of a text has been replaced by the same words in another spelling or form, or is empty."""
    if not words or not others:
        return all(map(SHORT_WORD.fullmatch, (*words, *others)))
    return len(words) == len(others) and all(
        min(len(word), len(changed)) >= MIN_WORD
        and word.isalpha()
        and changed.isalpha()
        and word[0] == changed[0]
        and Levenshtein.normalized_similarity(word, changed) >= WORD_SIMILARITY
        for word, changed in zip(words, others, strict=True)
    )
