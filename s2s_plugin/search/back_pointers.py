"""What a search has written: back pointers while it runs, hypotheses at its end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Step(NamedTuple):
    """One step of the n sentences that were unfinished then, K hypotheses each.

    Attributes:
        sentences: n numbers in the batch.
        parents: n x K beam numbers before the step.
        tokens: n x K ids written by it.
        totals: n x K sums of log-probabilities after it.
        ended: n x K, which of the best K candidates ended a hypothesis here that counts.
        ended_parents: n x K, their beam numbers.
        ended_totals: n x K, theirs with </s>.
        weights: n x K x S attention of the beams before the step, or None.
    """

    sentences: Tensor
    parents: Tensor
    tokens: Tensor
    totals: Tensor
    ended: Tensor
    ended_parents: Tensor
    ended_totals: Tensor
    weights: Tensor | None


class Finished(NamedTuple):
    """A hypothesis: T ids with </s>, the log-probability of each and of all, and T x S attention or None."""

    tokens: Tensor
    token_logprobs: Tensor
    total: float
    attention: Tensor | None


class BackPointers:
    """Back pointers of B sentences with K hypotheses each; nothing is copied from step to step.

    Args:
        batch: number B of sentences.
        eos: id that ends a hypothesis.
        symbols: ids of what the steps call 0, 1, 2 ...; None: themselves.
    """

    def __init__(self, batch: int, eos: int, symbols: Tensor | None = None):
        self.batch, self.eos, self.symbols = batch, eos, symbols
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)

    def hypotheses(self) -> list[list[Finished]]:
        """Those that have ended, of each of the B sentences, in the order of their ends."""
        columns = list(zip(*self.steps, strict=True))
        sentences, parents, tokens, totals, ended, ended_parents, ended_totals = (
            [field.cpu().numpy() for field in column] for column in columns[:7]
        )
        weights = [step.weights.cpu() for step in self.steps if step.weights is not None]
        count = len(self.steps)
        rows = np.zeros((count, self.batch), dtype=np.int64)  # of a sentence in each step
        for step in range(count):
            rows[step, sentences[step]] = np.arange(len(sentences[step]))

        # One hypothesis a column, in the order of their ends, of several in a step the best rank first.
        places = [found.nonzero() for found in ended]
        end = np.concatenate([np.full(len(row), step) for step, (row, _) in enumerate(places)])
        sentence = np.concatenate([sentences[step][row] for step, (row, _) in enumerate(places)])
        column = np.arange(len(end))
        written = np.full((count, len(end)), self.eos, dtype=np.int64)
        sums = np.zeros((count, len(end)), dtype=np.float32)
        beams = np.zeros((count, len(end)), dtype=np.int64)  # in which beam each was before a step
        sums[end, column] = np.concatenate([ended_totals[step][place] for step, place in enumerate(places)])
        beams[end, column] = np.concatenate([ended_parents[step][place] for step, place in enumerate(places)])
        for step in range(count - 2, -1, -1):
            (later,) = (end > step).nonzero()
            place = rows[step, sentence[later]], beams[step + 1, later]
            written[step, later], sums[step, later] = tokens[step][place], totals[step][place]
            beams[step, later] = parents[step][place]

        gains = np.diff(sums, axis=0, prepend=np.float32(0))
        ids, token_logprobs = (torch.from_numpy(t.T.copy()) for t in (written, gains))
        if self.symbols is not None:
            ids = self.symbols.cpu()[ids]
        found: list[list[Finished]] = [[] for _ in range(self.batch)]
        for number, (last, owner) in enumerate(zip(end.tolist(), sentence.tolist(), strict=True)):
            path = range(last + 1)
            attention = None
            if weights:
                attention = torch.stack([weights[step][rows[step, owner], beams[step, number]] for step in path])
            total, length = float(sums[last, number]), last + 1
            found[owner].append(Finished(ids[number, :length], token_logprobs[number, :length], total, attention))
        return found
