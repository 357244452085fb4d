"""A source brings something to read: the target of the most similar source in training.

What the model need not remember it reads, copies and corrects. In translation these are fuzzy matches (Bulte & Tezcan
2019, "Neural Fuzzy Repair"), in code retrieve-and-edit (Hashimoto et al. 2018), in dialogue retrieve-and-refine (Weston
et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from zlib import crc32

from s2s_plugin.text.matching import Neighbours, letters, match_key

TURN = "<turn>"  # between the turns of a source that is a conversation
RETRIEVED = "<retrieved>"  # between what a source brings and the source
OWN = 4  # every so many-th training source brings its own target, by which copying without slips is learnt
FILE = "retrieval"  # with the languages' endings, in a prepared folder


class Retrieval:
    """The training pairs as a memory; of a conversation the last turn is looked for, which is what is answered.

    Args:
        pairs: sources and their targets.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]):
        self.pairs = pairs

    @classmethod
    def load(cls, folder: Path, source_lang: str, target_lang: str) -> Retrieval | None:
        """Those that the prepare stage wrote; None where it wrote none."""
        files = [folder / f"{FILE}.{lang}" for lang in (source_lang, target_lang)]
        if not files[0].is_file():
            return None
        sides = [file.read_text(encoding="utf-8").split("\n")[:-1] for file in files]
        return cls(list(zip(*sides, strict=True)))

    def save(self, folder: Path, source_lang: str, target_lang: str) -> None:
        for side, lang in enumerate((source_lang, target_lang)):
            lines = "".join(f"{pair[side]}\n" for pair in self.pairs)
            (folder / f"{FILE}.{lang}").write_text(lines, encoding="utf-8", newline="\n")

    def target(self, source: str, own: str | None = None) -> str:
        """The target of the most similar source.

        Args:
            source: text.
            own: of a training source, its own target. One source in ``OWN`` brings that; for the others pairs with this
                very last turn are left aside, as new texts have none, and with no other nothing is found.
        """
        asked = last_turn(source)
        if own is None:
            return self.pairs[self._neighbours.nearest(asked)][1]
        if crc32(source.encode()) % OWN == 0:
            return own
        but = self._same.get(match_key(asked), [])
        return "" if len(but) == len(self.pairs) else self.pairs[self._neighbours.nearest(asked, but)][1]

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours([last_turn(source) for source, _ in self.pairs], letters)

    @cached_property
    def _same(self) -> dict[str, list[int]]:
        """The numbers of the pairs with the same last turn."""
        same: dict[str, list[int]] = {}
        for number, (source, _) in enumerate(self.pairs):
            same.setdefault(match_key(last_turn(source)), []).append(number)
        return same


def last_turn(source: str) -> str:
    """What is answered: the last turn of a conversation, and all of any other source."""
    return source.rpartition(TURN)[2]
