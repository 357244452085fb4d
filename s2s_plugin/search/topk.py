"""The best continuations of a sentence's hypotheses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.search.rules import NEG_INF

COLUMNS = 320  # a multiple of what a vector register holds


def best_continuations(scores: Tensor, total: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best ``count`` of K hypotheses with one more symbol of V.

    On a CPU a row is laid out as a table: the best scores lie in the columns of the highest maxima, and a maximum over
    columns takes whole vector registers at a time, where a selection from all scores goes number by number.

    Args:
        scores: n x K x V log-probabilities of the next symbol; a row that is no number counts as impossible.
        total: n x K so far, of finite numbers or -inf.
        count: of the best.

    Returns:
        totals, parents (hypothesis numbers) and symbols, n x count each, best first; -inf fills up what is too few.
    """
    symbols = scores.size(2)
    rows = symbols // COLUMNS
    if scores.device.type != "cpu" or rows < 4 or count > COLUMNS:
        width = min(count, symbols)
        best, symbol = scores.topk(width, dim=2)  # no other can be among the best of a sentence
        together = (_numbers(best) + total.unsqueeze(2)).flatten(1)
        best, index = together.topk(min(count, together.size(1)), dim=1)
        missing = (0, count - best.size(1))
        parent, symbol = index // width, symbol.flatten(1).gather(1, index)
        return F.pad(best, missing, value=NEG_INF), F.pad(parent, missing), F.pad(symbol, missing)
    in_table = rows * COLUMNS
    table = scores[..., :in_table].unflatten(2, (rows, COLUMNS))
    columns = (_numbers(table.amax(2)) + total.unsqueeze(2)).flatten(1).topk(count, dim=1).indices  # n x count
    hypothesis, column = columns // COLUMNS, columns % COLUMNS
    down = torch.arange(0, in_table, COLUMNS)  # a column's places in a row
    places = (hypothesis * symbols + column).unsqueeze(2) + down  # n x count x rows
    candidates = scores.flatten(1).gather(1, places.flatten(1)).unflatten(1, (count, rows))
    candidates = (candidates + total.gather(1, hypothesis).unsqueeze(2)).flatten(1)
    if in_table < symbols:
        candidates = torch.cat((candidates, (scores[..., in_table:] + total.unsqueeze(2)).flatten(1)), 1)
    best, index = _numbers(candidates).topk(count, dim=1)
    place = index // rows
    parent = hypothesis.gather(1, place.clamp(max=count - 1))
    symbol = index % rows * COLUMNS + column.gather(1, place.clamp(max=count - 1))
    if in_table < symbols:
        rest = index - count * rows
        parent = torch.where(rest < 0, parent, rest // (symbols - in_table))
        symbol = torch.where(rest < 0, symbol, in_table + rest % (symbols - in_table))
    return best, parent, symbol


def _numbers(scores: Tensor) -> Tensor:
    return scores.nan_to_num(nan=NEG_INF, neginf=NEG_INF)
