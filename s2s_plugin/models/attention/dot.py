"""Attention that multiplies the decoder's state with the memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention.base import Attention
from s2s_plugin.models.attention.history import History
from s2s_plugin.models.memory import Memory


class DotAttention(Attention):
    """score(h, m_s) = h^T m_s (Luong et al. 2015, section 3.1, "dot"); both must be of one width.

    With a history, score = h^T m_s + (V h)^T f_s for its features f_s.
    """

    scale = 1.0

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        self.seen = None if history is None else nn.Linear(query_size, history.size, bias=False)
        self._compare(query_size, value_size)

    def _compare(self, query_size: int, value_size: int) -> None:
        if query_size != value_size:
            raise UserError(
                f"model.attention=dot multiplies states of width {query_size} with values of width {value_size}: give "
                "model.decoder_hidden_size and model.encoder_hidden_size the same value, or use attention=general"
            )

    def score(self, query: Tensor, memory: Memory, seen: Tensor | None) -> Tensor:
        assert memory.keys is not None
        scores = torch.bmm(query, memory.keys.transpose(1, 2)) * self.scale
        if seen is None:
            return scores
        assert self.seen is not None
        return scores + torch.matmul(seen, self.seen(query).unsqueeze(3)).squeeze(3)


class ScaledDotAttention(DotAttention):
    """score(h, m_s) = h^T m_s / sqrt(Q) (Vaswani et al. 2017, section 3.2.1)."""

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        self.scale = query_size**-0.5


class GeneralAttention(DotAttention):
    """score(h, m_s) = h^T W m_s (Luong et al. 2015, section 3.1, "general"); the keys are W m_s."""

    def _compare(self, query_size: int, value_size: int) -> None:
        self.key = nn.Linear(value_size, query_size, bias=False)

    def precompute_keys(self, memory: Memory) -> Memory:
        keys = self.key(memory.values)
        return memory._replace(keys=keys, values=memory.values.to(keys.dtype))


class LocalAttention(GeneralAttention):
    """General attention, drawn to a predicted position (Luong et al. 2015, section 3.2, "local-p").

    p = S sigmoid(v^T tanh(W_p h)), and exp(score) is multiplied by exp(-(s - p)^2 / (2 sigma^2)) before it is
    normalised: here the weights sum to one, and no window is cut out beside the Gaussian.
    """

    DEVIATION = 5.0  # sigma, in memory steps: half of the window of 10 in the paper

    def __init__(self, query_size: int, value_size: int, size: int, history: History | None = None):
        super().__init__(query_size, value_size, size, history)
        self.position = nn.Sequential(nn.Linear(query_size, size), nn.Tanh(), nn.Linear(size, 1, bias=False))

    def score(self, query: Tensor, memory: Memory, seen: Tensor | None) -> Tensor:
        scores = super().score(query, memory, seen)
        lengths = memory.padding_mask.logical_not().sum(1).view(-1, 1, 1)
        centre = lengths * self.position(query).sigmoid()  # B x K x 1
        steps = torch.arange(scores.size(2), device=scores.device)
        return scores - torch.square((steps - centre) / self.DEVIATION) / 2
