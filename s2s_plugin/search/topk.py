"""Selection of the best continuations of a sentence's hypotheses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.search.state import FORCED_EOS_LOGPROB, NEG_INF, SYNC_INTERVAL, BeamState, Selector

COLUMNS = 320  # a multiple of the width of a vector register


class TopK(Selector):
    """Beam search's choice: the best 2K continuations of each sentence's K hypotheses.

    With ``keep_greedy`` the best continuation of hypothesis 0 comes before them. So hypothesis 0 is the greedy one
    until that ends, then the best of the others.
    """

    def __init__(self, beam: int, eos: int, keep_greedy: bool = False):
        self.beam, self.eos, self.keep_greedy = beam, eos, keep_greedy

    def choose(self, scores: Tensor, end: Tensor, state: BeamState) -> tuple[Tensor, Tensor, Tensor]:
        return self.best(scores, state.total, end, state.count)

    def best(self, scores: Tensor, total: Tensor, end: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return totals, parents and tokens, n x C each; </s> where a sentence has no other hypothesis.

        ``scores`` may be changed in place.
        """
        best, parent, token = self._candidates(scores, total)
        # On a GPU the check would cost more than it saves.
        if SYNC_INTERVAL.get(best.device.type, 1) > 1 or best[:, 0].min() == NEG_INF:
            stuck = (best.amax(1).eq(NEG_INF) & count.eq(0)).unsqueeze(1)
            last = total + end.nan_to_num(nan=NEG_INF).clamp(min=FORCED_EOS_LOGPROB)  # n x K
            last, at = last.topk(min(self.beam, last.size(1)), dim=1)
            missing = (0, best.size(1) - last.size(1))
            best = torch.where(stuck, F.pad(last, missing, value=NEG_INF), best)
            parent = torch.where(stuck, F.pad(at, missing), parent)
            token = token.masked_fill(stuck, self.eos)
        return best, parent, token

    def _candidates(self, scores: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.keep_greedy:
            return best_continuations(scores, total, 2 * self.beam)
        score, first = _numbers(scores[:, 0]).max(1, keepdim=True)  # n x 1
        scores[:, 0].scatter_(1, first, NEG_INF)
        best, parent, token = best_continuations(scores, total, 2 * self.beam)
        return torch.cat((total[:, :1] + score, best), 1), F.pad(parent, (1, 0)), torch.cat((first, token), 1)


def best_continuations(scores: Tensor, total: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return totals, parents (hypothesis numbers) and tokens of the best continuations, n x count each, best first.

    On a CPU a row is viewed as a table: the best scores lie in the columns of the highest maxima, and a maximum over
    columns uses whole vector registers, whereas top-k over all scores goes number by number.

    Args:
        scores: n x K x V log-probabilities of the next token; NaN counts as impossible.
        total: n x K sums so far, finite or -inf.
        count: number of continuations; if there are fewer, the rest have a total of -inf.
    """
    vocab = scores.size(2)
    rows = vocab // COLUMNS
    if scores.device.type != "cpu" or rows < 4 or count > COLUMNS:
        width = min(count, vocab)
        best, token = scores.topk(width, dim=2)  # no other can be among the best of a sentence
        together = (_numbers(best) + total.unsqueeze(2)).flatten(1)
        best, index = together.topk(min(count, together.size(1)), dim=1)
        missing = (0, count - best.size(1))
        parent, token = index // width, token.flatten(1).gather(1, index)
        return F.pad(best, missing, value=NEG_INF), F.pad(parent, missing), F.pad(token, missing)
    in_table = rows * COLUMNS
    table = scores[..., :in_table].unflatten(2, (rows, COLUMNS))
    columns = (_numbers(table.amax(2)) + total.unsqueeze(2)).flatten(1).topk(count, dim=1).indices  # n x count
    hypothesis, column = columns // COLUMNS, columns % COLUMNS
    down = torch.arange(0, in_table, COLUMNS)  # positions of a column in a row
    places = (hypothesis * vocab + column).unsqueeze(2) + down  # n x count x rows
    candidates = scores.flatten(1).gather(1, places.flatten(1)).unflatten(1, (count, rows))
    candidates = (candidates + total.gather(1, hypothesis).unsqueeze(2)).flatten(1)
    if in_table < vocab:
        candidates = torch.cat((candidates, (scores[..., in_table:] + total.unsqueeze(2)).flatten(1)), 1)
    best, index = _numbers(candidates).topk(count, dim=1)
    place = index // rows
    parent = hypothesis.gather(1, place.clamp(max=count - 1))
    token = index % rows * COLUMNS + column.gather(1, place.clamp(max=count - 1))
    if in_table < vocab:
        rest = index - count * rows
        parent = torch.where(rest < 0, parent, rest // (vocab - in_table))
        token = torch.where(rest < 0, token, in_table + rest % (vocab - in_table))
    return best, parent, token


def _numbers(scores: Tensor) -> Tensor:
    return scores.nan_to_num(nan=NEG_INF, neginf=NEG_INF)
