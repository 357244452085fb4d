"""What attention remembers of where it has looked, so that it moves on, and neither repeats nor forgets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from s2s_plugin.models.memory import Memory


class History(nn.Module):
    """Past weights as features of every source step.

    Attributes:
        kept: numbers P to remember for each source step.
        size: number F of features for each source step.
    """

    kept: int
    size: int

    def initial_state(self, memory: Memory) -> Tensor:
        """B x S x P before the first step: nowhere."""
        return memory.values.new_zeros(*memory.values.shape[:2], self.kept)

    def forward(self, past: Tensor) -> Tensor:
        """B x K x S x P to B x K x S x F."""
        return past

    def update(self, past: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        """After one more step.

        Args:
            past: B x K x S x P.
            weights: B x K x S of that step.
            query: B x K x Q decoder states that asked.
            memory: prepared memory of B items.
        """
        raise NotImplementedError


class Location(History):
    """f = F * a_{t-1}: a convolution over the weights of the last step (Chorowski et al. 2015, section 2.1).

    It lets attention move on from where it was, which speech and lip reading need: the same sound or shape may come
    twice.
    """

    kept = 1
    FILTERS, WIDTH = 10, 15  # of the convolution; WIDTH in memory steps
    size = FILTERS

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, self.FILTERS, self.WIDTH, padding=self.WIDTH // 2, bias=False)

    def forward(self, past: Tensor) -> Tensor:
        found = self.filters(past.flatten(0, 1).transpose(1, 2))  # B*K x F x S
        return found.transpose(1, 2).unflatten(0, past.shape[:2])

    def update(self, past: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return weights.unsqueeze(3)


class Coverage(History):
    """f_s = sum_{t' < t} a_{t'} s: how much each source step has been read (See et al. 2017, section 2.3)."""

    kept = size = 1

    def update(self, past: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return past + weights.unsqueeze(3)


class GatedCoverage(History):
    """f_s = GRU([a_{ts}; W m_s; U h_t], f_s): a vector for each source step (Tu et al. 2016, section 3.1.2)."""

    kept = size = 10

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__()
        self.weight = nn.Linear(1, 3 * self.size)
        self.value = nn.Linear(value_size, 3 * self.size, bias=False)
        self.query = nn.Linear(query_size, 3 * self.size, bias=False)
        self.recurrent = nn.Linear(self.size, 3 * self.size)

    def update(self, past: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        inputs = self.weight(weights.unsqueeze(3)) + self.value(memory.values).unsqueeze(1)
        r, z, n = (inputs + self.query(query).unsqueeze(2)).chunk(3, 3)  # B x K x S x P each
        r_h, z_h, n_h = self.recurrent(past).chunk(3, 3)
        update = (z + z_h).sigmoid()
        new = (n + (r + r_h).sigmoid() * n_h).tanh()
        return new + update * (past - new)


class Histories(History):
    """Several side by side."""

    def __init__(self, parts: Sequence[History]):
        super().__init__()
        self.parts: Sequence[History] = nn.ModuleList(parts)  # type: ignore[assignment]
        self.kept = sum(part.kept for part in parts)
        self.size = sum(part.size for part in parts)
        self.widths = [part.kept for part in parts]

    def forward(self, past: Tensor) -> Tensor:
        shares = past.split(self.widths, 3)
        return torch.cat([part(share) for part, share in zip(self.parts, shares, strict=True)], 3)

    def update(self, past: Tensor, weights: Tensor, query: Tensor, memory: Memory) -> Tensor:
        shares = zip(self.parts, past.split(self.widths, 3), strict=True)
        return torch.cat([part.update(share, weights, query, memory) for part, share in shares], 3)


COVERAGES = ("none", "sum", "gated")


def build_history(location: bool, coverage: str, query_size: int, value_size: int) -> History | None:
    """``coverage``: one of ``COVERAGES``."""
    parts: list[History] = [Location()] if location else []
    if coverage == "sum":
        parts.append(Coverage())
    elif coverage == "gated":
        parts.append(GatedCoverage(query_size, value_size))
    return None if not parts else parts[0] if len(parts) == 1 else Histories(parts)
