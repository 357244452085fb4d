"""Text encoder: a recurrent stack over embedded tokens."""

from __future__ import annotations

import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.recurrent import RecurrentStack
from s2s_plugin.models.memory import Memory


class TextEncoder(Encoder):
    """m_1..m_S = BiLSTM(e(x_1)..e(x_S)).

    Args:
        dictionary: of the source symbols.
        embedding: of the source symbols.
        stack: reads the embeddings.
        max_source_positions: longest source accepted, in tokens.
        copied_to: dictionary of the target, where source symbols may be copied into it.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: Embedding,
        stack: RecurrentStack,
        max_source_positions: int,
        copied_to: Dictionary | None = None,
    ):
        super().__init__(dictionary, stack.value_size, stack.final_shape, max_source_positions)
        self.embedding = embedding
        self.stack = stack
        self.stride = stack.pace
        in_target = None if copied_to is None else torch.tensor([copied_to.index(word) for word in dictionary.symbols])
        self.register_buffer("in_target", in_target, persistent=False)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S ids, padded on the right; ``src_lengths``: B."""
        memory = self.stack(self.embedding(src_tokens), src_lengths)
        return memory if self.in_target is None else memory._replace(symbols=self.in_target[src_tokens])
