"""Text encoder: a recurrent stack over embedded tokens and their factors."""

import torch
from fairseq.data import Dictionary
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.rnn import RecurrentStack, reversed_positions
from s2s_plugin.models.memory import Memory


class TextEncoder(Encoder):
    """m_1..m_S = BiRNN(e_1..e_S) with e_i = E[x_i], or E[x_i] + sum_k E[f_ik] with factors (Sennrich & Haddow 2016).

    ``factors`` of them follow each token; a pointer generator needs the target's ``copy_dictionary``, the syntactic
    decoder another embedding of the tokens, their ``meanings``. With ``reverse`` the stack reads the last token first
    (Sutskever et al. 2014, section 3.3); the memory keeps the order of the tokens. Without ``eos``, </s> is padding.
    """

    def __init__(
        self, dictionary: Dictionary, embedding: Embedding, stack: RecurrentStack, max_source_positions: int,
        copy_dictionary: Dictionary | None = None, factors: int = 0, reverse: bool = False,
        meanings: Embedding | None = None, eos: bool = True,
    ):  # fmt: skip
        super().__init__(dictionary, stack.value_size, stack.final_shape, max_source_positions)
        self.embedding = embedding
        self.stack = stack
        self.reverse, self.meanings, self.eos = reverse, meanings, eos
        self.group = 1 + factors
        self.stride = self.group * stack.downsampling
        target = copy_dictionary
        copy_ids = None if target is None else torch.tensor([target.index(token) for token in dictionary.symbols])
        self.register_buffer("copy_ids", copy_ids, persistent=False)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Encode ids ``src_tokens`` B x S, padded on the right; ``src_lengths``: B, factors included."""
        # </s> has no factors: padding, whose embedding is zero, takes their place.
        missing = -src_tokens.size(1) % self.group
        groups = F.pad(src_tokens, (0, missing), value=self.dictionary.pad())
        groups = groups.reshape(groups.size(0), -1, self.group)
        embedded = self.embedding(groups).sum(2)  # B x S / (1 + F) x E
        lengths = (src_lengths + self.group - 1) // self.group
        if not self.eos:
            lengths = (lengths - 1).clamp(min=1)
        if self.reverse:
            positions = reversed_positions(lengths, embedded.size(1)).unsqueeze(2)
            memory = self.stack(embedded.gather(1, positions.expand_as(embedded)), lengths)
            memory = memory._replace(values=memory.values.gather(1, positions.expand_as(memory.values)))
        else:
            memory = self.stack(embedded, lengths)
        tokens = groups[..., 0]
        copy_ids = None if self.copy_ids is None else self.copy_ids[tokens]
        meanings = None if self.meanings is None else self.meanings(tokens)
        return memory._replace(copy_ids=copy_ids, meanings=meanings)
