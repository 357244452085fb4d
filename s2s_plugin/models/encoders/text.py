"""Text encoder: stacked bidirectional LSTM over embedded tokens."""

from __future__ import annotations

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2s_plugin.models.dropout import Dropout
from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.memory import Memory


class TextEncoder(Encoder):
    """m_1..m_S = BiLSTM(e(x_1)..e(x_S)); packed, so padding is never read.

    Args:
        dictionary: of the source symbols.
        embedding: of the source symbols.
        hidden_size: width D of a memory value; two directions of D / 2 where bidirectional.
        layers: number of stacked layers.
        bidirectional: read the source in both directions.
        dropout: between layers and on the output.
        max_source_positions: longest source accepted, in tokens.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: Embedding,
        hidden_size: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        max_source_positions: int,
    ):
        super().__init__(dictionary, hidden_size, 2 * hidden_size, max_source_positions)
        directions = 2 if bidirectional else 1
        self.embedding = embedding
        self.lstm = nn.LSTM(
            embedding.table.embedding_dim,
            hidden_size // directions,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dropout = Dropout(dropout)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S ids, padded on the right; ``src_lengths``: B."""
        packed = pack_padded_sequence(
            self.embedding(src_tokens), src_lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed, (hidden, cell) = self.lstm(packed)
        values, _ = pad_packed_sequence(packed, batch_first=True, total_length=src_tokens.size(1))  # B x S x D
        positions = torch.arange(src_tokens.size(1), device=src_tokens.device)
        padding_mask = positions >= src_lengths.unsqueeze(1)  # B x S
        top = self.lstm.bidirectional + 1  # directions of the top layer
        final = torch.cat((*hidden[-top:], *cell[-top:]), 1)  # B x 2D
        return Memory(self.dropout(values), padding_mask, self.dropout(final))
