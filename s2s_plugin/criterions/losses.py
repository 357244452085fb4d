"""Losses beside cross entropy, each summed over the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def ctc_loss(logits: Tensor, padding_mask: Tensor, target: Tensor, pad: int, eos: int, blank: int) -> Tensor:
    """-log P(target | memory) by Connectionist Temporal Classification (Graves et al. 2006).

    Args:
        logits: B x S x V.
        padding_mask: B x S, True at padding.
        target: B x T ids; ``pad`` and ``eos`` are not spelt.
        blank: id of the symbol that stands for none.
    """
    spelt = target.ne(pad) & target.ne(eos)
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)  # S x B x V
    return F.ctc_loss(
        log_probabilities,
        target[spelt],
        padding_mask.logical_not().sum(1),
        spelt.sum(1),
        blank,
        reduction="sum",
        zero_infinity=True,  # a target longer than the memory cannot be spelt
    )


def uneven(attention: Tensor, written: Tensor) -> Tensor:
    """sum_s (1 - sum_t a_ts)^2 (Xu et al. 2015, section 4.2.1).

    Args:
        attention: B x T x S weights.
        written: B x T, False at padding.
    """
    visits = (attention * written.unsqueeze(2)).sum(1)  # B x S
    return torch.square(1 - visits).sum()


def reread(attention: Tensor, written: Tensor) -> Tensor:
    """sum_t sum_s min(a_ts, c_ts) with c_ts = sum_{t' < t} a_t's (See et al. 2017, equation 12).

    Args:
        attention: B x T x S weights.
        written: B x T, False at padding.
    """
    before = attention.cumsum(1) - attention
    return (torch.minimum(attention, before).sum(2) * written).sum()


def misaligned(attention: Tensor, alignments: Tensor) -> Tensor:
    """-sum_t log sum_{s aligned to t} a_ts over the target symbols that are aligned (Chen et al. 2016).

    The paper asks for equal weights on all aligned source symbols; here any of them will do.

    Args:
        attention: B x T x S weights.
        alignments: L x 3 of item, target step and source step.
    """
    item, target, source = alignments.unbind(1)
    aligned = torch.zeros_like(attention).index_put((item, target, source), attention.new_ones(()))
    share = (attention * aligned).sum(2)
    return -share[aligned.any(2)].clamp(min=torch.finfo(share.dtype).tiny).log().sum()


def twice(sample: dict) -> dict:
    """The batch, and the batch again: other elements will be dropped. Counts stay those of one."""
    inputs = {
        name: torch.cat((value, value)) if isinstance(value, Tensor) else value
        for name, value in sample["net_input"].items()
    }
    both = {**sample, "net_input": inputs, "target": torch.cat((sample["target"], sample["target"]))}
    if "alignments" in sample:
        links = sample["alignments"]
        shifted = links + links.new_tensor([len(sample["target"]), 0, 0])
        both["alignments"] = torch.cat((links, shifted))
    return both


def disagreement(scores: Tensor, written: Tensor) -> Tensor:
    """(KL(p || q) + KL(q || p)) / 2 of two passes over the same batch (Liang et al. 2021, "R-Drop").

    Args:
        scores: 2B x T x V log-probabilities p, then q.
        written: 2B x T, False at padding.
    """
    p, q = scores.float().chunk(2)
    difference = ((p.exp() - q.exp()) * (p - q)).sum(2) / 2  # B x T
    return (difference * written.chunk(2)[0]).sum()
