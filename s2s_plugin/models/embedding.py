"""Embedding: a symbol's row in a table."""

from __future__ import annotations

from fairseq.data import Dictionary
from torch import Tensor, nn

from s2s_plugin.models.dropout import Dropout


class Embedding(nn.Module):
    """Token ids to vectors, with dropout.

    Args:
        dictionary: gives the number of rows and the padding index, whose row stays zero.
        size: width D of a vector.
        dropout: probability of dropping an element of a vector while training.
    """

    def __init__(self, dictionary: Dictionary, size: int, dropout: float):
        super().__init__()
        self.table = nn.Embedding(len(dictionary), size, padding_idx=dictionary.pad())
        nn.init.normal_(self.table.weight, std=size**-0.5)
        nn.init.zeros_(self.table.weight[dictionary.pad()])
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """``tokens``: B x T ids. Returns B x T x D."""
        return self.dropout(self.table(tokens))
