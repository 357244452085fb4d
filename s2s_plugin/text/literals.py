"""Text that looks like a token of SentencePiece, of fairseq or of ours: ``<s>``, ``<0x41>``, ``<2de>``, U+2581.

While text is split into subwords, a noncharacter stands in such text, so that it stays text. No other text has
noncharacters (see :mod:`s2s_plugin.text.characters`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from s2s_plugin.text.retrieval import RETRIEVED

MARK = "\ufdd3"  # the second character of text that looks like a token
SIGNS = {"\u2581": "\ufdd0", "\u2585": "\ufdd1"}  # SentencePiece's space, and its mark of reserved characters
HIDE_SIGNS = str.maketrans(SIGNS)
REVEAL = str.maketrans({hidden: sign for sign, hidden in SIGNS.items()} | {MARK: None})
TOKENS = r"</?s>|<unk>|<pad>|<0x[0-9A-F]{2}>"  # SentencePiece does not learn from them


class Literals:
    """Hide text that looks like a token.

    Args:
        tags: tokens that only the preparation writes. That of a language is one at the beginning of a text; elsewhere,
            and that of retrieval everywhere, it is text.
        all_of_them: also hide what looks like a token of SentencePiece; only if the vocabulary has :data:`MARK`, that
            is if the training text has such text.
    """

    def __init__(self, tags: Sequence[str] = (), all_of_them: bool = True):
        patterns = [TOKENS] if all_of_them else []
        patterns += [("" if tag == RETRIEVED else "(?<!^)") + re.escape(tag) for tag in tags]
        self.pattern = re.compile("|".join(patterns)) if patterns else None

    def hide(self, text: str) -> str:
        """Return the text with a mark in what looks like a token; :func:`reveal` undoes it."""
        text = text.translate(HIDE_SIGNS)
        return text if self.pattern is None else self.pattern.sub(lambda match: match[0][0] + MARK + match[0][1:], text)


def reveal(text: str) -> str:
    """Undo :meth:`Literals.hide`."""
    return text.translate(REVEAL)
