"""Attention history: features of earlier attention weights, so that attention moves on and covers the source."""

from torch import Tensor, nn

from s2s_plugin.models.memory import Memory


class AttentionHistory(nn.Module):
    """Turn earlier attention weights into F features of every source step, from P numbers kept for each."""

    state_size: int  # P
    feature_size: int  # F

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__()

    def initial_state(self, memory: Memory) -> Tensor:
        """Return the all-zero state before the first step, B x S x P."""
        return memory.values.new_zeros(*memory.values.shape[:2], self.state_size)

    def forward(self, attn_state: Tensor) -> Tensor:
        """Map the state, B x K x S x P, to features, B x K x S x F."""
        return attn_state

    def update(self, attn_state: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        """Return the state after one more step, given its weights B x K x S and its decoder states B x K x Q."""
        raise NotImplementedError


class LocationHistory(AttentionHistory):
    """f = F * a_{t-1}: a convolution over the weights of the previous step (Chorowski et al. 2015, section 2.1).

    Lets attention advance from its previous position, for sources in which the same sound or shape occurs twice.
    """

    state_size = 1
    FILTERS, WIDTH = 10, 15  # of the convolution; WIDTH in memory steps
    feature_size = FILTERS

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__(query_size, value_size)
        self.filters = nn.Conv1d(1, self.FILTERS, self.WIDTH, padding=self.WIDTH // 2, bias=False)

    def forward(self, attn_state: Tensor) -> Tensor:
        features = self.filters(attn_state.flatten(0, 1).transpose(1, 2))  # B*K x F x S
        return features.transpose(1, 2).unflatten(0, attn_state.shape[:2])

    def update(self, attn_state: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return weights.unsqueeze(3)


class Coverage(AttentionHistory):
    """f_s = sum_{t' < t} a_{t's}: the attention each source step has received (See et al. 2017, section 2.3)."""

    state_size = feature_size = 1

    def update(self, attn_state: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return attn_state + weights.unsqueeze(3)


class GatedCoverage(AttentionHistory):
    """f_s = GRU([a_{ts}; W m_s; U h_t], f_s): a vector for each source step (Tu et al. 2016, section 3.1.2)."""

    state_size = feature_size = 10

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__(query_size, value_size)
        self.weight = nn.Linear(1, 3 * self.feature_size)
        self.value = nn.Linear(value_size, 3 * self.feature_size, bias=False)
        self.query = nn.Linear(query_size, 3 * self.feature_size, bias=False)
        self.recurrent = nn.Linear(self.feature_size, 3 * self.feature_size)

    def update(self, attn_state: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        inputs = self.weight(weights.unsqueeze(3)) + self.value(memory.values).unsqueeze(1)
        r, z, n = (inputs + self.query(query).unsqueeze(2)).chunk(3, 3)  # B x K x S x P each
        r_h, z_h, n_h = self.recurrent(attn_state).chunk(3, 3)
        update = (z + z_h).sigmoid()
        new = (n + (r + r_h).sigmoid() * n_h).tanh()
        return new + update * (attn_state - new)


HISTORIES: dict[str, type[AttentionHistory]] = {"location": LocationHistory, "sum": Coverage, "gated": GatedCoverage}
COVERAGES = ("none", "sum", "gated")
