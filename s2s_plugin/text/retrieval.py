"""Retrieval: each source comes with the target of the most similar training source.

Bulte & Tezcan 2019, "Neural Fuzzy Repair", in translation; Hashimoto et al. 2018 in code; Weston et al. 2018 in chat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from zlib import crc32

from s2s_plugin.text.matching import TfidfIndex, char_ngrams
from s2s_plugin.text.normalize import match_key
from s2s_plugin.utils.digests import check_digest, read_prepared
from s2s_plugin.utils.io import write_lines

TURN = "<turn>"  # separates the turns of a source that is a conversation
RETRIEVED = "<retrieved>"  # separates the retrieved target from the source
OWN_TARGET_INTERVAL = 4  # one training source in this many gets its own target, to learn exact copying
STEM = "retrieval"  # stem of the files in a prepared folder; the languages are their endings


class Retrieval:
    """A memory of training pairs of source and target, searched by source; of a conversation, by the last turn."""

    def __init__(self, pairs: Sequence[tuple[str, str]]):
        self.pairs = pairs

    @classmethod
    def load(cls, folder: Path, source_lang: str, target_lang: str) -> Retrieval | None:
        """Read the memory that the prepare stage wrote; None if there is none."""
        files = [folder / f"{STEM}.{lang}" for lang in (source_lang, target_lang)]
        check_digest(files[0])
        return cls(list(zip(*map(read_prepared, files), strict=True))) if files[0].is_file() else None

    def save(self, folder: Path, source_lang: str, target_lang: str) -> None:
        for side, lang in enumerate((source_lang, target_lang)):
            write_lines(folder / f"{STEM}.{lang}", (pair[side] for pair in self.pairs))

    def target(self, source: str, own: str | None = None) -> str:
        """Return the target of the most similar source.

        ``own`` is the target of a training source. One source in ``OWN_TARGET_INTERVAL`` gets it; for the others, pairs
        with the same last turn are excluded, as new texts have none; without other pairs the result is empty.
        """
        query = last_turn(source)
        if own is None:
            return self.pairs[self._index.nearest(query)][1]
        if crc32(source.encode()) % OWN_TARGET_INTERVAL == 0:
            return own
        same = self._by_key.get(match_key(query), [])
        return "" if len(same) == len(self.pairs) else self.pairs[self._index.nearest(query, same)][1]

    def ranked(self, source: str, count: int) -> list[tuple[int, float]]:
        """Return the indices of the pairs with the most similar sources, each with the similarity, best first."""
        return self._index.ranked(last_turn(source), count)

    @cached_property
    def _index(self) -> TfidfIndex:
        return TfidfIndex([last_turn(source) for source, _ in self.pairs], char_ngrams)

    @cached_property
    def _by_key(self) -> dict[str, list[int]]:
        """Indices of the pairs with the same last turn."""
        indices = defaultdict(list)
        for index, (source, _) in enumerate(self.pairs):
            indices[match_key(last_turn(source))].append(index)
        return indices


def last_turn(source: str) -> str:
    """Return the last turn of a conversation; any other source is one turn."""
    return source.rpartition(TURN)[2]
