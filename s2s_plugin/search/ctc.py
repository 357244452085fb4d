"""CTC prefix scores in the search (Watanabe et al. 2017, algorithm 2; Hori et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import NEG_INF, BeamState, Collaborator


class CTCPrefixes(Collaborator):
    """CTC states of the unfinished hypotheses of n sentences, K each.

    For a hypothesis h, ``ending[..., 0, t]`` and ``ending[..., 1, t]`` are the log-probabilities that the first t
    memory steps emit h and end in its last token, or in a blank. The joint score is (1 - w) log P(Y|X) +
    w log P_CTC(Y|X) with ``ctc_search_weight`` w, for the 2K most likely tokens after each hypothesis, and </s>.

    The CTC layer's ``logits`` are n x S x V, ``padding_mask`` is n x S, True at padding.
    """

    per_sentence = ("steps", "ending", "total")

    def __init__(self, logits: Tensor, padding_mask: Tensor, beam: int, blank: int, eos: int, options: BeamOptions):
        self.blank, self.eos, self.weight, self.candidates = blank, eos, options.ctc_search_weight, 2 * options.beam
        steps = logits.float().log_softmax(-1)
        silent = torch.full_like(steps[0, 0], NEG_INF)
        silent[blank] = 0.0  # nothing is emitted beyond the end
        self.steps = torch.where(padding_mask.unsqueeze(2), silent, steps)  # n x S x V
        blanks = F.pad(self.steps[..., blank].cumsum(1), (1, 0))  # n x (S + 1)
        self.ending = torch.stack((torch.full_like(blanks, NEG_INF), blanks), 1)  # n x 2 x (S + 1)
        self.ending = self.ending.unsqueeze(1).repeat(1, beam, 1, 1)  # n x K x 2 x (S + 1)
        self.total = logits.new_zeros(len(logits), beam, dtype=torch.float32)  # log P of the prefixes

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        scores = scores.nan_to_num(nan=NEG_INF, neginf=NEG_INF)
        _, best = scores.topk(min(self.candidates, scores.size(2)), dim=2)
        best = torch.cat((best, torch.full_like(best[:, :, :1], self.eos)), 2)  # n x K x C
        gain = self.extend(state.tokens[:, :, -1], best)
        joint = (1 - self.weight) * scores.gather(2, best) + self.weight * gain
        return torch.full_like(scores, NEG_INF).scatter_(2, best, joint)

    def extend(self, last: Tensor, candidates: Tensor) -> Tensor:
        """Return the change n x K x C of the prefixes' log-probability by each candidate (n x K x C) after ``last``."""
        batch, beam, count = candidates.shape
        index = candidates.flatten(1).unsqueeze(1).expand(-1, self.steps.size(1), -1)  # n x S x K*C
        emission = self.steps.gather(2, index).unflatten(2, (beam, count))  # n x S x K x C
        blank = self.steps[..., self.blank]  # n x S
        in_token, in_blank = (self.ending[:, :, i].unsqueeze(2) for i in (0, 1))  # n x K x 1 x (S + 1)
        repeats = candidates.eq(last.unsqueeze(2)).unsqueeze(3)  # equal tokens need a blank between them
        begin = torch.logaddexp(in_token.masked_fill(repeats, NEG_INF), in_blank)  # n x K x C x (S + 1)

        emitted, rested = torch.full_like(begin, NEG_INF), torch.full_like(begin, NEG_INF)
        for t in range(self.steps.size(1)):
            emitted[..., t + 1] = torch.logaddexp(emitted[..., t], begin[..., t]) + emission[:, t]
            rested[..., t + 1] = torch.logaddexp(rested[..., t], emitted[..., t]) + blank[:, t].view(batch, 1, 1)
        total = torch.logsumexp(begin[..., :-1] + emission.permute(0, 2, 3, 1), 3)  # n x K x C
        ended = torch.logaddexp(in_token[..., -1], in_blank[..., -1])  # n x K x 1
        total = torch.where(candidates.eq(self.eos), ended, total).masked_fill(candidates.eq(self.blank), NEG_INF)
        self.extended = candidates, total, torch.stack((emitted, rested), 3)
        return (total - self.total.unsqueeze(2)).nan_to_num(nan=NEG_INF, posinf=NEG_INF, neginf=NEG_INF)

    def advance(self, parent: Tensor, token: Tensor) -> None:
        candidates, total, ending = self.extended
        rows = torch.arange(len(parent), device=parent.device).unsqueeze(1)
        choice = candidates[rows, parent].eq(token.unsqueeze(2)).int().argmax(2)
        self.total, self.ending = total[rows, parent, choice], ending[rows, parent, choice]
