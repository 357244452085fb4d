"""Lexical constraints: phrases that an output must contain (Post & Vilar 2018)."""

from __future__ import annotations

import torch
from fairseq.token_generation_constraints import unpack_constraints
from torch import Tensor

from s2s_plugin.search.state import NEG_INF, BeamState
from s2s_plugin.search.topk import TopK

NO_TOKEN = -1


class LexicalConstraints(TopK):
    """Choose candidates by how many tokens of their constraints the hypotheses of n sentences contain, K each.

    A constraint is satisfied where its tokens stand together. Equal constraints must be satisfied separately, ordered
    ones in their order. Progress in a constraint is its longest prefix that the hypothesis ends in (Knuth, Morris &
    Pratt 1977). ``packed`` are n rows of C constraints of up to L ids, from fairseq's ``pack_constraints``.
    """

    per_sentence = ("words", "back", "waits", "lengths", "progress")

    def __init__(self, packed: Tensor, ordered: bool, beam: int, eos: int):
        super().__init__(beam, eos)
        sentences = [[sequence.tolist() for sequence in unpack_constraints(row)] for row in packed.cpu()]
        max_length = max((len(sequence) for sentence in sentences for sequence in sentence), default=1)
        shape = len(sentences), max(1, *map(len, sentences)), max_length + 1
        words = torch.full(shape, NO_TOKEN)  # n x C x (L + 1): next token by progress
        back = torch.zeros(shape, dtype=torch.long)  # n x C x (L + 1): progress after a mismatch
        waits = torch.zeros(*shape[:2], shape[1], dtype=torch.bool)  # n x C x C: constraints that must come before
        for n, sentence in enumerate(sentences):
            for c, sequence in enumerate(sentence):
                words[n, c, : len(sequence)] = torch.tensor(sequence)
                back[n, c, : len(sequence)] = torch.tensor(failure_function(sequence))
                waits[n, c, :c] = torch.tensor([ordered or other == sequence for other in sentence[:c]])
        self.words, self.back, self.waits = (table.to(packed.device) for table in (words, back, waits))
        self.lengths = self.words.ne(NO_TOKEN).sum(2)  # n x C
        self.progress = torch.zeros_like(self.lengths).unsqueeze(1)  # n x K x C

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        """Forbid </s> in place while constraints are unsatisfied; :class:`TopK` allows it if nothing else is left."""
        scores.nan_to_num_(nan=NEG_INF, neginf=NEG_INF)
        missing = (self.progress < self.lengths.unsqueeze(1)).any(2)  # n x K
        scores[..., self.eos].masked_fill_(missing, NEG_INF)
        return scores

    def choose(self, scores: Tensor, end: Tensor, state: BeamState) -> tuple[Tensor, Tensor, Tensor]:
        """Choose in turn from each bank: hypotheses with the same progress; the fullest bank first.

        The candidates are the best of all, each hypothesis's own best, and tokens that continue a constraint
        (section 3).
        """
        best, total = super().choose(scores, end, state), state.total
        own = scores.argmax(2, keepdim=True)  # n x K x 1
        continuations = torch.where(self._moves(self.progress), _at(self.words, self.progress), NO_TOKEN)
        next_tokens = torch.cat((own, torch.where(continuations == NO_TOKEN, own, continuations)), 2)  # n x K x (1 + C)
        extended = (total.unsqueeze(2) + scores.gather(2, next_tokens)).flatten(1)
        beams = torch.arange(total.size(1), device=total.device).view(1, -1, 1).expand_as(next_tokens).flatten(1)
        totals = torch.cat((best[0], extended), 1)
        parents = torch.cat((best[1], beams), 1)
        tokens = torch.cat((best[2], next_tokens.flatten(1)), 1)

        candidate = parents * scores.size(2) + tokens
        duplicate = (candidate.unsqueeze(2) == candidate.unsqueeze(1)).tril(-1).any(2)
        totals = totals.masked_fill(duplicate, NEG_INF)
        bank = self._bank(self._after(parents, tokens)).masked_fill(totals.eq(NEG_INF), -1)
        order = totals.sort(dim=1, descending=True, stable=True).indices
        bank = bank.gather(1, order)
        rank = (bank.unsqueeze(2) == bank.unsqueeze(1)).tril(-1).sum(2)  # within its bank
        rank = torch.where(bank < 0, rank + order.size(1), rank)  # impossible candidates come last
        turn = (rank * (int(self.lengths.sum(1).max()) + 2) - bank).sort(dim=1, stable=True).indices
        order = order.gather(1, turn[:, : best[0].size(1)])
        return totals.gather(1, order), parents.gather(1, order), tokens.gather(1, order)

    def advance(self, parent: Tensor, token: Tensor) -> None:
        self.progress = self._after(parent, token)

    def _bank(self, progress: Tensor) -> Tensor:
        """Return n x M numbers of tokens in satisfied constraints and in the unsatisfied one with most progress.

        Progress in one alone counts, so that a hypothesis can always continue into the next bank.
        """
        satisfied = progress == self.lengths.unsqueeze(1)
        return (progress * satisfied).sum(2) + (progress * ~satisfied).amax(2)

    def _moves(self, progress: Tensor) -> Tensor:
        """Return an n x M x C mask of unsatisfied constraints that wait for no other."""
        missing = progress < self.lengths.unsqueeze(1)
        return missing & ~(self.waits.unsqueeze(1) & missing.unsqueeze(2)).any(3)

    def _after(self, parent: Tensor, token: Tensor) -> Tensor:
        """Return the n x M x C progress of hypotheses ``parent`` continued with ``token``, n x M each."""
        before = self.progress.gather(1, parent.unsqueeze(2).expand(-1, -1, self.progress.size(2)))
        token, now = token.unsqueeze(2), before
        for _ in range(self.words.size(2) - 2):
            now = torch.where(_at(self.words, now).eq(token), now, _at(self.back, now))
        now = now + _at(self.words, now).eq(token)
        return torch.where(self._moves(before), now, before)


def _at(table: Tensor, progress: Tensor) -> Tensor:
    """Return the n x M x C entries of ``table``, n x C x (L + 1), at ``progress``."""
    return table.unsqueeze(1).expand(-1, progress.size(1), -1, -1).gather(3, progress.unsqueeze(3)).squeeze(3)


def failure_function(sequence: list[int]) -> list[int]:
    """Return, for 0, 1, ... tokens of a sequence, the length of their longest proper prefix that is also a suffix."""
    lengths = [0, 0]
    for token in sequence[1:]:
        length = lengths[-1]
        while length and sequence[length] != token:
            length = lengths[length]
        lengths.append(length + (sequence[length] == token))
    return lengths[: len(sequence)]
