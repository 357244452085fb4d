"""How many of the user's pairs are read, how many go and why, and which characters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.text.characters import character_name, dropped
from s2s_plugin.utils.console import note, say

SHOWN = 3  # places of each reason
SHOWN_CHARACTERS = 8


class OwnPair(tuple[str, str]):
    """A pair of the user's that knows where it is from."""

    where: str  # file:line
    conversation: str  # that it is from, by its first question

    def __new__(cls, source: str, target: str, where: str, conversation: str = "") -> OwnPair:
        pair = super().__new__(cls, (source, target))
        pair.where, pair.conversation = where, conversation
        return pair


class Tally:
    """The places of pairs that are left out, by reason, and counts of characters that are dropped."""

    def __init__(self) -> None:
        self.read = 0
        self.left_out: defaultdict[str, list[str | None]] = defaultdict(list)
        self.blank: defaultdict[str, list[str | None]] = defaultdict(list)  # held-out ones kept with an empty side
        self.to_keep_long = ""  # what to set
        self.characters: Counter[str] = Counter()
        self._places: dict[Pair, str] = {}

    def count_characters(self, texts: Iterable[str]) -> None:
        """Count the characters that cleaning drops from the texts."""
        for text in texts:
            if not text.isascii() or not text.isprintable():
                self.characters.update(dropped(text))

    def keep(self, pairs: Iterable[Pair]) -> None:
        """Remember where pairs are from, for :meth:`place`."""
        for pair in pairs:
            if isinstance(pair, OwnPair):
                self._places.setdefault(pair, pair.where)

    def place(self, pair: Pair) -> str | None:
        """Return where a pair is from, also of one that has been kept: written and read, tagged or reversed."""
        source, target = pair
        forms = [form for text in (source, source.partition(" ")[2]) for form in ((text, target), (target, text))]
        return getattr(pair, "where", None) or next(filter(None, map(self._places.get, forms)), None)

    def leave_out(self, reason: str, pairs: Iterable[Pair]) -> None:
        """Count pairs as left out."""
        self.left_out[reason] += map(self.place, pairs)

    def say(self, kept: int) -> None:
        """Say what has become of the pairs, in one block."""
        gone = sum(map(len, self.left_out.values()))
        note(f"{self.read:,} pairs read, {kept:,} kept, {gone:,} left out")
        blank = {f"held-out {reason}, kept": places for reason, places in self.blank.items()}
        for reason, places in {**self.left_out, **blank}.items():
            if places:
                some = name_some(places)
                note(f"  {len(places):,} {reason}{': ' if some else ''}{some}")
        if self.to_keep_long:
            say(f"        to keep long ones: {self.to_keep_long}")  # in one line, to be pasted
        if self.characters:
            frequent = self.characters.most_common(SHOWN_CHARACTERS)
            counts = ", ".join(f"{character_name(character)}: {count:,}" for character, count in frequent)
            others = len(self.characters) - len(frequent)
            more = f", and {others:,} others" if others else ""
            note(f"  characters without meaning dropped: {counts}{more}")


def name_some(places: Iterable[str | None]) -> str:
    """Return the first places, each file once, and dots if there are more: ``my.en:3, 12, 40, ...``."""
    known, shown, last = list(dict.fromkeys(filter(None, places))), [], ""
    for place in known[:SHOWN]:
        file, _, line = place.rpartition(":")
        shown.append(line if file == last and file else place)
        last = file
    return ", ".join([*shown, *(["..."] if len(known) > SHOWN else [])])


def missing(pairs: Sequence[Pair], kept: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that are not, as the same objects, in ``kept``."""
    present = set(map(id, kept))
    return [pair for pair in pairs if id(pair) not in present]
