"""How many of the user's pairs are read, how many go and why, and which characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.text.characters import character_name, dropped

SHOWN = 3  # places of each reason
SHOWN_CHARACTERS = 8


class OwnPair(tuple[str, str]):
    """A pair of the user's that knows where it is from."""

    where: str  # file:line

    def __new__(cls, source: str, target: str, where: str) -> OwnPair:
        pair = super().__new__(cls, (source, target))
        pair.where = where
        return pair


class Tally:
    """Counts of pairs, and of characters that are dropped from them."""

    def __init__(self) -> None:
        self.read = 0
        self.left_out: dict[str, int] = {}  # by reason
        self.blank: dict[str, list[str]] = {}  # places of held-out pairs that are kept, a side of them empty, by reason
        self.to_keep_long = ""  # what to set
        self.characters: Counter[str] = Counter()
        self._first: dict[str, list[str]] = {}
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
        """Return where a pair that has been kept is from; of one with a tag, too."""
        return getattr(pair, "where", None) or self._places.get(pair) or self._places.get(_untagged(pair))

    def leave_out(self, reason: str, pairs: Sequence[Pair] = (), places: Sequence[str] = ()) -> None:
        """Count pairs, or pairs at these places, as left out."""
        if pairs or places:
            found = [*places, *filter(None, map(self.place, pairs))]
            self.left_out[reason] = self.left_out.get(reason, 0) + len(pairs) + len(places)
            first = self._first.setdefault(reason, [])
            first += found[: SHOWN - len(first)]

    def keep_blank(self, place: str, reason: str) -> None:
        """Count a held-out pair that is kept although a side is empty, or not read for this reason."""
        self.blank.setdefault(reason, []).append(place)

    def lines(self, kept: int) -> Iterator[str]:
        """Yield the lines that say what has become of the pairs."""
        gone = sum(self.left_out.values())
        yield f"{self.read:,} pairs read, {kept:,} kept, {gone:,} left out"
        for reason, count in self.left_out.items():
            yield f"  {count:,} {reason}{self._examples(reason, count)}"
        for reason, places in self.blank.items():
            yield f"  {len(places):,} held-out {reason}, kept: {name_some(places)}"
        if self.to_keep_long:
            yield f"  to keep long ones: {self.to_keep_long}"
        if self.characters:
            most = self.characters.most_common(SHOWN_CHARACTERS)
            counts = ", ".join(f"{character_name(character)}: {count:,}" for character, count in most)
            more = f", and {len(self.characters) - len(most):,} others" if len(self.characters) > len(most) else ""
            yield f"  characters without meaning dropped: {counts}{more}"

    def _examples(self, reason: str, count: int) -> str:
        first = self._first.get(reason, [])
        return f": {', '.join(first)}{', ...' if count > len(first) else ''}" if first else ""


def name_some(places: Sequence[str]) -> str:
    """Return the first places, and dots if there are more."""
    return ", ".join([*places[:SHOWN], *(["..."] if len(places) > SHOWN else [])])


def _untagged(pair: Pair) -> Pair:
    return pair[0].partition(" ")[2], pair[1]


def missing(pairs: Sequence[Pair], kept: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that are not, as the same objects, in ``kept``."""
    present = set(map(id, kept))
    return [pair for pair in pairs if id(pair) not in present]
