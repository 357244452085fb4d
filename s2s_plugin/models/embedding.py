"""Embedding: a symbol's row in a table."""

from __future__ import annotations

from pathlib import Path

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.layers.dropout import Dropout


class Embedding(nn.Module):
    """Token ids to vectors, with dropout.

    Args:
        dictionary: gives the number of rows and the padding index, whose row stays zero.
        size: width D of a vector.
        dropout: on the vectors.
        path: text file of vectors to begin with, or "".
        frozen: do not train the table if it began with those.
        word_dropout: zero whole vectors with this probability while training (Sennrich & Zhang 2019, section 3.4).
    """

    def __init__(
        self,
        dictionary: Dictionary,
        size: int,
        dropout: Dropout,
        path: str = "",
        frozen: bool = False,
        word_dropout: float = 0.0,
    ):
        super().__init__()
        self.table = nn.Embedding(len(dictionary), size, padding_idx=dictionary.pad())
        nn.init.normal_(self.table.weight, std=size**-0.5)
        nn.init.zeros_(self.table.weight[dictionary.pad()])
        if path:
            load_vectors(Path(path), dictionary, self.table.weight)
            self.table.weight.requires_grad_(not frozen)
        self.dropout = dropout
        self.word_dropout, self.pad = word_dropout, dictionary.pad()

    def forward(self, tokens: Tensor) -> Tensor:
        """``tokens``: B x T (x ...) ids. Returns B x T (x ...) x D."""
        if self.dropout.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped, self.pad)  # whose vector is zero
        return self.dropout(self.table(tokens))


@torch.no_grad()
def load_vectors(path: Path, dictionary: Dictionary, table: Tensor) -> int:
    """Overwrite rows of ``table``, V x D, with those of ``path``.

    Args:
        path: UTF-8 text, a symbol and its D numbers in each line; a first line "count D" may come before, as word2vec
            and fastText have it and GloVe has not.

    Returns:
        number of symbols found.

    Raises:
        UserError: no such file, a line that is no vector of this width, or a file without any symbol of the dictionary.
    """
    found = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                symbol, *values = line.rstrip().split(" ")
                if number == 1 and len(values) == 1:
                    continue
                if len(values) != table.size(1):
                    raise UserError(f"{path}:{number}: {len(values)} numbers, but embeddings are {table.size(1)} wide")
                index = dictionary.index(symbol)
                if index != dictionary.unk() or symbol == dictionary.unk_word:
                    table[index] = torch.tensor([float(value) for value in values])
                    found += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}:{number}: no vector ({error})") from None
    if not found:
        raise UserError(f"{path}: has none of the dictionary's {len(dictionary)} symbols; was it made of other units?")
    return found
