"""Lexical constraints: words that an output must hold (Post & Vilar 2018)."""

from __future__ import annotations

import torch
from fairseq.token_generation_constraints import unpack_constraints
from torch import Tensor

from s2s_plugin.search.rules import NEG_INF

NOTHING = -1  # no symbol


class Constraints:
    """What n sentences' hypotheses, K each, have written of the sequences that they must hold.

    A sequence is met where its symbols stand together. Of equal ones, each must be met on its own; of ordered ones,
    each after the one before. Progress in a sequence is the longest of its beginnings that the hypothesis ends in
    (Knuth, Morris & Pratt 1977).

    Args:
        packed: n rows as fairseq's ``pack_constraints`` makes them: C sequences of up to L ids.
        ordered: whether they must come in their order.
        eos: id that ends a hypothesis.
    """

    def __init__(self, packed: Tensor, ordered: bool, eos: int):
        self.ordered, self.eos = ordered, eos
        self.sequences = [[words.tolist() for words in unpack_constraints(row)] for row in packed.cpu()]
        count = max(map(len, self.sequences), default=0)
        longest = max((len(words) for sentence in self.sequences for words in sentence), default=1)
        shape = len(self.sequences), max(count, 1), longest + 1
        words = torch.full(shape, NOTHING)  # n x C x (L + 1): what each progress waits for
        back = torch.zeros(shape, dtype=torch.long)  # n x C x (L + 1): progress to go back to, from each progress
        waits = torch.zeros(*shape[:2], shape[1], dtype=torch.bool)  # n x C x C: for which others each must wait
        for n, sentence in enumerate(self.sequences):
            for c, sequence in enumerate(sentence):
                words[n, c, : len(sequence)] = torch.tensor(sequence)
                back[n, c, : len(sequence)] = torch.tensor(failure_function(sequence))
                waits[n, c, :c] = torch.tensor([ordered or other == sequence for other in sentence[:c]])
        device = packed.device
        self.words, self.back, self.waits = words.to(device), back.to(device), waits.to(device)
        self.lengths = self.words.ne(NOTHING).sum(2)  # n x C
        self.progress = torch.zeros(len(words), 1, shape[1], dtype=torch.long, device=device)  # n x K x C

    def forbid_end(self, scores: Tensor) -> None:
        """No </s> in place, where something is missing and something else may follow; scores n x K x V."""
        scores.nan_to_num_(nan=NEG_INF, neginf=NEG_INF)
        missing = (self.progress < self.lengths.unsqueeze(1)).any(2)  # n x K
        end = scores[..., self.eos].clone()
        scores[..., self.eos] = NEG_INF
        stuck = scores.amax(2).eq(NEG_INF)
        scores[..., self.eos] = torch.where(missing & ~stuck, NEG_INF, end)

    def allocate_banks(
        self, scores: Tensor, total: Tensor, best: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The candidates, in turn from each bank: hypotheses that are equally far.

        To the best of all come each hypothesis's own best, and what would take it further (section 3).

        Args:
            scores: n x K x V of the next symbol.
            total: n x K so far.
            best: totals, parents and tokens of the best of all, n x M each.

        Returns:
            totals, parents and tokens, n x M each, the best of the fullest bank first.
        """
        own = scores.argmax(2, keepdim=True)  # n x K x 1
        further = torch.where(self._moves(self.progress), self._next(self.progress), NOTHING)
        symbols = torch.cat((own, torch.where(further == NOTHING, own, further)), 2)  # n x K x (1 + C)
        extended = (total.unsqueeze(2) + scores.gather(2, symbols)).flatten(1)
        beams = torch.arange(total.size(1), device=total.device).view(1, -1, 1).expand_as(symbols).flatten(1)
        totals = torch.cat((best[0], extended), 1)
        parents = torch.cat((best[1], beams), 1)
        tokens = torch.cat((best[2], symbols.flatten(1)), 1)

        candidate = parents * scores.size(2) + tokens
        twice = (candidate.unsqueeze(2) == candidate.unsqueeze(1)).tril(-1).any(2)
        totals = totals.masked_fill(twice, NEG_INF)
        bank = self._bank(self._after(parents, tokens)).masked_fill(totals.eq(NEG_INF), -1)
        order = totals.sort(dim=1, descending=True, stable=True).indices
        bank = bank.gather(1, order)
        rank = (bank.unsqueeze(2) == bank.unsqueeze(1)).tril(-1).sum(2)  # within its bank
        rank = torch.where(bank < 0, rank + order.size(1), rank)  # what is impossible comes last
        turn = (rank * (int(self.lengths.sum(1).max()) + 2) - bank).sort(dim=1, stable=True).indices
        order = order.gather(1, turn[:, : best[0].size(1)])
        return totals.gather(1, order), parents.gather(1, order), tokens.gather(1, order)

    def follow(self, parent: Tensor, token: Tensor) -> None:
        """Go on with hypotheses ``parent`` and what they write, n x K each."""
        self.progress = self._after(parent, token)

    def filter_satisfied(self, found: list[list[dict]]) -> list[list[dict]]:
        """The hypotheses of all sentences that hold what they must; where none does, for want of length, all."""
        kept = []
        for hypotheses, sequences in zip(found, self.sequences, strict=True):
            good = [each for each in hypotheses if holds(each["tokens"].tolist(), sequences, self.ordered)]
            kept.append(good or hypotheses)
        return kept

    def keep(self, sentences: Tensor) -> None:
        self.words, self.back, self.waits = self.words[sentences], self.back[sentences], self.waits[sentences]
        self.lengths, self.progress = self.lengths[sentences], self.progress[sentences]

    def _bank(self, progress: Tensor) -> Tensor:
        """n x M: symbols of the sequences that are met, and of the one besides that is furthest.

        Of that one alone: a hypothesis can always go on into the next bank, and what several begin with is no way out.
        """
        met = progress == self.lengths.unsqueeze(1)
        return (progress * met).sum(2) + (progress * ~met).amax(2)

    def _next(self, progress: Tensor) -> Tensor:
        """n x M x C: the next symbol of each sequence, NOTHING where it is met."""
        return _at(self.words, progress)

    def _moves(self, progress: Tensor) -> Tensor:
        """n x M x C: the sequences that wait for no other and are not met."""
        missing = progress < self.lengths.unsqueeze(1)
        return missing & ~(self.waits.unsqueeze(1) & missing.unsqueeze(2)).any(3)

    def _after(self, parent: Tensor, token: Tensor) -> Tensor:
        """n x M x C: progress of hypotheses ``parent`` with one symbol more, n x M each."""
        before = self.progress.gather(1, parent.unsqueeze(2).expand(-1, -1, self.progress.size(2)))
        token, now = token.unsqueeze(2), before
        for _ in range(self.words.size(2) - 2):
            now = torch.where(self._next(now).eq(token), now, _at(self.back, now))
        now = now + self._next(now).eq(token)
        return torch.where(self._moves(before), now, before)


def _at(table: Tensor, progress: Tensor) -> Tensor:
    """n x M x C: entries of ``table``, n x C x (L + 1)."""
    return table.unsqueeze(1).expand(-1, progress.size(1), -1, -1).gather(3, progress.unsqueeze(3)).squeeze(3)


def failure_function(sequence: list[int]) -> list[int]:
    """For 0, 1, ... symbols of a sequence, the longest beginning shorter than them that they end in."""
    found = [0, 0]
    for symbol in sequence[1:]:
        length = found[-1]
        while length and sequence[length] != symbol:
            length = found[length]
        found.append(length + (sequence[length] == symbol))
    return found[: len(sequence)]


def holds(tokens: list[int], sequences: list[list[int]], ordered: bool) -> bool:
    """Whether all the sequences stand in the tokens, as :class:`Constraints` wants them."""
    place: dict[tuple[int, ...], int] = {}  # from where to look: one for all if ordered, else one for each
    for sequence in sequences:
        kind = () if ordered else tuple(sequence)
        ends = range(place.get(kind, 0) + len(sequence), len(tokens) + 1)
        end = next((end for end in ends if tokens[end - len(sequence) : end] == sequence), None)
        if end is None:
            return False
        place[kind] = end
    return True
