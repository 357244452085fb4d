"""Text encoder: a recurrent stack over embedded tokens."""

from __future__ import annotations

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
    """

    def __init__(self, dictionary: Dictionary, embedding: Embedding, stack: RecurrentStack, max_source_positions: int):
        super().__init__(dictionary, stack.value_size, stack.summary_size, max_source_positions)
        self.embedding = embedding
        self.stack = stack
        self.stride = stack.pace

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S ids, padded on the right; ``src_lengths``: B."""
        return self.stack(self.embedding(src_tokens), src_lengths)
