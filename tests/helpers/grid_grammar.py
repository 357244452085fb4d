"""The sentences of GRID, which the synthetic lips say too, and looking into videos of them."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np

SENTENCE = re.compile(
    "(bin|lay|place|set) (blue|green|red|white) (at|by|in|with) ([a-vx-z]) "
    "(zero|one|two|three|four|five|six|seven|eight|nine) (again|now|please|soon)"
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def code(text: str) -> str:
    """GRID's code of a sentence."""
    *words, digit, adverb = text.split()
    return "".join(word[0] for word in words) + str(DIGITS.index(digit) or "z") + adverb[0]


def decode(path: Path) -> np.ndarray:
    """Grey frames of a video, ``[T, H, W]``."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
