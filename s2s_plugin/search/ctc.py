"""CTC prefix scores: how well the beginning of a text is spelt by the memory (Watanabe et al. 2017, algorithm 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_plugin.search.rules import NEG_INF


class CTCPrefixes:
    """The unfinished hypotheses of n sentences, K each, as CTC sees them.

    For a hypothesis h, ``ending[..., 0, t]`` and ``ending[..., 1, t]`` are the log-probabilities that the first t
    memory steps spell h and end in its last symbol, or in a blank.

    Args:
        logits: n x S x V of the CTC layer.
        padding_mask: n x S, True at padding.
        beam: number K of hypotheses of a sentence.
        blank: id of the symbol that stands for none.
        eos: id that ends a hypothesis; CTC does not spell it.
    """

    def __init__(self, logits: Tensor, padding_mask: Tensor, beam: int, blank: int, eos: int):
        self.blank, self.eos = blank, eos
        steps = logits.float().log_softmax(-1)
        silent = torch.full_like(steps[0, 0], NEG_INF)
        silent[blank] = 0.0  # beyond the end nothing is spelt, for sure
        self.steps = torch.where(padding_mask.unsqueeze(2), silent, steps)  # n x S x V
        blanks = self.steps[..., blank].cumsum(1)  # n x S
        blanks = torch.cat((torch.zeros_like(blanks[:, :1]), blanks), 1)  # t = 0 .. S
        self.ending = torch.stack((torch.full_like(blanks, NEG_INF), blanks), 1)  # n x 2 x (S + 1)
        self.ending = self.ending.unsqueeze(1).repeat(1, beam, 1, 1)  # n x K x 2 x (S + 1)
        self.total = logits.new_zeros(len(logits), beam, dtype=torch.float32)  # log P of what begins so

    def extend(self, last: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score each hypothesis with each of C further symbols.

        Args:
            last: n x K last symbols so far.
            candidates: n x K x C ids.

        Returns:
            gain of the log-probability of all texts that begin so, n x K x C; for :meth:`follow` the totals n x K x C
            and endings n x K x C x 2 x (S + 1).
        """
        batch, beam, count = candidates.shape
        index = candidates.flatten(1).unsqueeze(1).expand(-1, self.steps.size(1), -1)  # n x S x K*C
        symbol = self.steps.gather(2, index).unflatten(2, (beam, count))  # n x S x K x C
        blank = self.steps[..., self.blank]  # n x S
        in_symbol, in_blank = (self.ending[:, :, i].unsqueeze(2) for i in (0, 1))  # n x K x 1 x (S + 1)
        repeats = candidates.eq(last.unsqueeze(2)).unsqueeze(3)  # a blank must stand between two alike
        begin = torch.logaddexp(in_symbol.masked_fill(repeats, NEG_INF), in_blank)  # n x K x C x (S + 1)

        spelt = torch.full_like(begin, NEG_INF)
        rested = torch.full_like(begin, NEG_INF)
        for t in range(self.steps.size(1)):
            spelt[..., t + 1] = torch.logaddexp(spelt[..., t], begin[..., t]) + symbol[:, t]
            rested[..., t + 1] = torch.logaddexp(rested[..., t], spelt[..., t]) + blank[:, t].view(batch, 1, 1)
        total = torch.logsumexp(begin[..., :-1] + symbol.permute(0, 2, 3, 1), 3)  # n x K x C
        ended = torch.logaddexp(in_symbol[..., -1], in_blank[..., -1])  # n x K x 1
        total = torch.where(candidates.eq(self.eos), ended, total).masked_fill(candidates.eq(self.blank), NEG_INF)
        gain = (total - self.total.unsqueeze(2)).nan_to_num(nan=NEG_INF, posinf=NEG_INF, neginf=NEG_INF)
        return gain, total, torch.stack((spelt, rested), 3)

    def follow(self, total: Tensor, ending: Tensor, parent: Tensor, choice: Tensor) -> None:
        """Go on with candidate ``choice`` of hypothesis ``parent`` (n x K each) of those :meth:`extend` scored."""
        rows = torch.arange(len(parent), device=parent.device).unsqueeze(1)
        self.total, self.ending = total[rows, parent, choice], ending[rows, parent, choice]

    def keep(self, sentences: Tensor) -> None:
        self.steps, self.ending, self.total = (
            field.index_select(0, sentences) for field in (self.steps, self.ending, self.total)
        )
