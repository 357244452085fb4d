"""Read lines that are longer than what the model was trained on in windows, and join their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import islice

from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.translator import Translator

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
MIN_WINDOW = 4  # words


def translate(translator: Translator, lines: Sequence[str], first: int, size: int) -> list[list[Hypothesis]]:
    """Return the hypothesis of each line in a list, as :meth:`Translator.candidates` does, with its text alone.

    Args:
        translator: of text.
        lines: any number, without line ends.
        first: number of the first line, from 0, which seeds sampling.
        size: maximum number of words of a window.
    """
    cuts = [cut(line, size) for line in lines]
    outputs = iter(translator.translate([text for windows in cuts for text, _ in windows], first))
    joined = []
    for windows in cuts:
        texts = [hypothesis.text for hypothesis in islice(outputs, len(windows))]
        joined.append([Hypothesis(join(texts, [overlap for _, overlap in windows]))])
    return joined


def cut(line: str, size: int) -> list[tuple[str, int]]:
    """Return windows of at most ``size`` words, each with the number of words that it has in common with the last one.

    A window ends with the last sentence that ends in its second half, otherwise the next one begins with its last
    third. In a line without spaces, characters are words.
    """
    space = " " if " " in line else ""
    words = line.split() if space else list(line)
    windows, start, overlap = [], 0, 0
    while len(words) - start > size:
        middle, end = start + size // 2, start + size
        sentence = next((n for n in range(end, middle, -1) if words[n - 1].endswith(SENTENCE_ENDS)), None)
        windows.append((space.join(words[start : sentence or end]), overlap))
        overlap = 0 if sentence else size // 3
        start = (sentence or end) - overlap
    return [*windows, (space.join(words[start:]), overlap)]


def join(texts: Sequence[str], overlaps: Sequence[int]) -> str:
    """Join the outputs of windows at the longest run of words that neighbors have in common where they may overlap.

    Where they have none, each loses half of the overlap.
    """
    space = " " if any(" " in text for text in texts) else ""
    joined: list[str] = []
    for text, overlap in zip(texts, overlaps, strict=True):
        words = text.split() if space else list(text)
        reach = min(2 * overlap, len(joined))  # outputs may be longer than their sources
        match = SequenceMatcher(None, joined[len(joined) - reach :], words[: 2 * overlap], False).find_longest_match()
        if match.size:
            joined, words = joined[: len(joined) - reach + match.a], words[match.b :]
        elif reach and words:
            joined, words = joined[: len(joined) - overlap // 2], words[overlap // 2 :]
        joined += words
    return space.join(joined)
