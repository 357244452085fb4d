"""Text that breaks what is not careful: signs, controls, white space and a sample of every plane of Unicode."""

from __future__ import annotations

import random
import sys

TEXTS = [
    "if x:\n\treturn 'a\\n'\r\n",
    "↵ is a sign, ⇥ too, ␛21b5; and ␛ and ␛zz; and ␛110000;",
    "\x00\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\xa0\u3000▁",
    " leading, trailing  ",
    "",
]
EVERY = [chr(number) for number in range(0x3100)] + [chr(number) for number in range(0x3100, sys.maxunicode, 991)]


def odd_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices("ab ;0↵⇥␛▁\n\t\r" * 4 + "".join(EVERY), k=rng.randint(0, 30))) for _ in range(count)]
