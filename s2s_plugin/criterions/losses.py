"""Losses added to cross entropy, each summed over the batch.

Attention weights are B x T x S; a target mask is B x T, False at padding.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def ctc_loss(logits: Tensor, padding_mask: Tensor, target: Tensor, pad: int, eos: int, blank: int) -> Tensor:
    """Return -log P(target | memory) by Connectionist Temporal Classification (Graves et al. 2006).

    ``logits`` is B x S x V, ``padding_mask`` B x S, ``target`` B x T ids; ``pad`` and ``eos`` are no labels.
    """
    labels = target.ne(pad) & target.ne(eos)
    log_probs = logits.float().log_softmax(-1).transpose(0, 1)  # S x B x V
    lengths, label_lengths = padding_mask.logical_not().sum(1), labels.sum(1)
    # zero_infinity: no path exists for a target longer than the memory
    return F.ctc_loss(log_probs, target[labels], lengths, label_lengths, blank, reduction="sum", zero_infinity=True)


def doubly_stochastic_loss(attention: Tensor, target_mask: Tensor) -> Tensor:
    """Return sum_s (1 - sum_t a_ts)^2 (Xu et al. 2015, section 4.2.1)."""
    totals = (attention * target_mask.unsqueeze(2)).sum(1)  # B x S
    return torch.square(1 - totals).sum()


def coverage_loss(attention: Tensor, target_mask: Tensor) -> Tensor:
    """Return sum_t sum_s min(a_ts, c_ts) with c_ts = sum_{t' < t} a_t's (See et al. 2017, equation 12)."""
    coverage = attention.cumsum(1) - attention
    return (torch.minimum(attention, coverage).sum(2) * target_mask).sum()


def guided_alignment_loss(attention: Tensor, alignments: Tensor) -> Tensor:
    """Return -sum_t log sum_{s aligned to t} a_ts over the aligned target tokens (Chen et al. 2016).

    The paper wants equal weights on all aligned source tokens; here their sum counts. ``alignments`` are L x 3: item,
    target step and source step of each link.
    """
    item, target, source = alignments.unbind(1)
    aligned = torch.zeros_like(attention).index_put((item, target, source), attention.new_ones(()))
    weights = (attention * aligned).sum(2)
    return -weights[aligned.any(2)].clamp(min=torch.finfo(weights.dtype).tiny).log().sum()


def symmetric_kl(log_probs: Tensor, target_mask: Tensor) -> Tensor:
    """Return (KL(p || q) + KL(q || p)) / 2 of two passes over one batch (Liang et al. 2021, "R-Drop").

    ``log_probs`` is 2B x T x V, of p, then of q; ``target_mask`` is 2B x T, False at padding.
    """
    p, q = log_probs.float().chunk(2)
    divergence = ((p.exp() - q.exp()) * (p - q)).sum(2) / 2  # B x T
    return (divergence * target_mask.chunk(2)[0]).sum()


def duplicate_batch(sample: dict) -> dict:
    """Repeat the batch, so that dropout differs between the two copies. Counts stay those of one."""
    inputs = {
        name: torch.cat((value, value)) if isinstance(value, Tensor) else value
        for name, value in sample["net_input"].items()
    }
    target = sample["target"]
    duplicated = {**sample, "net_input": inputs, "target": torch.cat((target, target))}
    if "alignments" in sample:
        links = sample["alignments"]
        duplicated["alignments"] = torch.cat((links, links + links.new_tensor([len(target), 0, 0])))
    return duplicated
