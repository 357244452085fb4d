"""Back pointers while a search runs, hypotheses at its end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.search.options import BeamOptions


class Step(NamedTuple):
    """One step of the n sentences that were unfinished, K hypotheses each."""

    sentences: Tensor  # n positions in the batch
    parents: Tensor  # n x K hypothesis numbers before the step
    tokens: Tensor  # n x K ids
    totals: Tensor  # n x K sums of log-probabilities after the step
    finished: Tensor  # n x K: which of the best K candidates finish a hypothesis that counts
    finished_parents: Tensor  # n x K hypothesis numbers of the candidates
    finished_totals: Tensor  # n x K sums of the candidates, with </s>
    weights: Tensor | None  # n x K x S attention of the hypotheses before the step


class Finished(NamedTuple):
    """A finished hypothesis."""

    tokens: Tensor  # T ids, with </s>
    token_logprobs: Tensor  # T
    total: float  # sum of the log-probabilities
    attention: Tensor | None  # T x S


def trace_back(steps: list[Step], batch: int, eos: int, vocabulary: Tensor | None = None) -> list[list[Finished]]:
    """Return the finished hypotheses of each of ``batch`` sentences, in the order in which they finished.

    ``vocabulary`` are the ids of what the steps call 0, 1, ...; None: they use ids.
    """
    columns = list(zip(*steps, strict=True))
    sentences, parents, tokens, totals, finished, finished_parents, finished_totals = (
        [field.cpu().numpy() for field in column] for column in columns[:7]
    )
    weights = [step.weights.cpu() for step in steps if step.weights is not None]
    count = len(steps)
    rows = np.zeros((count, batch), dtype=np.int64)  # of a sentence in each step
    for step in range(count):
        rows[step, sentences[step]] = np.arange(len(sentences[step]))

    # One hypothesis a column, in the order of their ends; of several in a step the best first.
    places = [mask.nonzero() for mask in finished]
    end = np.concatenate([np.full(len(row), step) for step, (row, _) in enumerate(places)])
    sentence = np.concatenate([sentences[step][row] for step, (row, _) in enumerate(places)])
    column = np.arange(len(end))
    ids = np.full((count, len(end)), eos, dtype=np.int64)
    sums = np.zeros((count, len(end)), dtype=np.float32)
    beams = np.zeros((count, len(end)), dtype=np.int64)  # hypothesis number before each step
    sums[end, column] = np.concatenate([finished_totals[step][place] for step, place in enumerate(places)])
    beams[end, column] = np.concatenate([finished_parents[step][place] for step, place in enumerate(places)])
    for step in range(count - 2, -1, -1):
        (later,) = (end > step).nonzero()
        place = rows[step, sentence[later]], beams[step + 1, later]
        ids[step, later], sums[step, later] = tokens[step][place], totals[step][place]
        beams[step, later] = parents[step][place]

    token_logprobs = torch.from_numpy(np.diff(sums, axis=0, prepend=np.float32(0)).T.copy())
    paths = torch.from_numpy(ids.T.copy())
    if vocabulary is not None:
        paths = vocabulary.cpu()[paths]
    results: list[list[Finished]] = [[] for _ in range(batch)]
    for number, (last, owner) in enumerate(zip(end.tolist(), sentence.tolist(), strict=True)):
        length = last + 1
        pieces = [weight[rows[step, owner], beams[step, number]] for step, weight in enumerate(weights[:length])]
        attention = torch.stack(pieces) if pieces else None
        total = float(sums[last, number])
        results[owner].append(Finished(paths[number, :length], token_logprobs[number, :length], total, attention))
    return results


def to_fairseq(
    tokens: Tensor, score: float | Tensor, token_logprobs: Tensor, attention: Tensor | None, options: BeamOptions
) -> dict:
    """Return a hypothesis of T tokens, with T x S attention or None, in the format of fairseq's generators."""
    return {
        "tokens": tokens,
        "score": score,
        "positional_scores": token_logprobs,
        "attention": None if attention is None else attention.t(),
        "alignment": _alignment(attention, options),
    }


def _alignment(attention: Tensor | None, options: BeamOptions) -> list:
    """Return the alignment as ``fairseq-generate`` prints or uses it."""
    if attention is None:
        return []
    if options.print_alignment == "soft":  # T rows of S weights
        return [[f"{weight:.6f}" for weight in row] for row in attention.tolist()]
    if options.replace_unk is not None:  # T source positions, never that of </s>
        return attention[:, : max(attention.size(1) - 1, 1)].argmax(1).tolist()
    return [(source, target) for target, source in enumerate(attention.argmax(1).tolist()[:-1])]
