"""Text encoder: a recurrent stack over embedded tokens, with what stands beside them."""

from __future__ import annotations

import torch
from fairseq.data import Dictionary
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.rnn import RecurrentStack
from s2s_plugin.models.memory import Memory


class TextEncoder(Encoder):
    """m_1..m_S = BiRNN(e_1..e_S) with e_i = E[x_i], or E[x_i] + sum_k E[f_ik] with factors (Sennrich & Haddow 2016).

    Args:
        dictionary: of the source symbols.
        embedding: of the source symbols.
        stack: reads the embeddings.
        max_source_positions: longest source accepted, in tokens.
        copied_to: dictionary of the target, where source symbols may be copied into it.
        factors: number of factors, symbols that follow each token.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: Embedding,
        stack: RecurrentStack,
        max_source_positions: int,
        copied_to: Dictionary | None = None,
        factors: int = 0,
    ):
        super().__init__(dictionary, stack.value_size, stack.final_shape, max_source_positions)
        self.embedding = embedding
        self.stack = stack
        self.group = 1 + factors
        self.stride = self.group * stack.pace
        in_target = None if copied_to is None else torch.tensor([copied_to.index(word) for word in dictionary.symbols])
        self.register_buffer("in_target", in_target, persistent=False)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S ids, padded on the right; ``src_lengths``: B. factors count."""
        # </s> alone has no factors: padding, whose embedding is zero, stands for them.
        missing = -src_tokens.size(1) % self.group
        groups = F.pad(src_tokens, (0, missing), value=self.dictionary.pad()).unflatten(1, (-1, self.group))
        embedded = self.embedding(groups).sum(2)  # B x S / (1 + F) x E
        memory = self.stack(embedded, (src_lengths + self.group - 1) // self.group)
        return memory if self.in_target is None else memory._replace(copy_ids=self.in_target[groups[..., 0]])
