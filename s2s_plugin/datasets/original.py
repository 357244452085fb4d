"""The text behind a binarised corpus, for what its vocabulary does not know."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.errors import UserError

logger = logging.getLogger(__name__)


class OriginalText:
    """Lines of one side of a split, as symbols between spaces; fairseq asks for them to replace unknown words.

    Args:
        path: the text, one item a line; where there is no such file, the binarised symbols stand in for it.
        encode: a line of the file to symbols.
        items: ids of each item.
        dictionary: of these.
        group: symbols of a token, itself and its factors, of which the first are given.
    """

    def __init__(
        self,
        path: Path,
        encode: Callable[[str], str],
        items: Sequence[Tensor],
        dictionary: Dictionary,
        group: int = 1,
    ):
        self.path, self.encode, self.items, self.dictionary, self.group = path, encode, items, dictionary, group

    def get_original_text(self, index: int) -> str:
        line = self.dictionary.string(self.items[index]) if self.lines is None else self.encode(self.lines[index])
        return " ".join(line.split()[:: self.group])

    @cached_property
    def lines(self) -> list[str] | None:
        if not self.path.is_file():
            logger.warning("%s: no such text; words that the vocabulary lacks stay <unk>", self.path)
            return None
        with self.path.open(encoding="utf-8") as file:
            lines = [line.rstrip("\n") for line in file]
        if len(lines) != len(self.items):
            raise UserError(f"{self.path}: {len(lines):,} lines, but {len(self.items):,} items are binarised")
        return lines
