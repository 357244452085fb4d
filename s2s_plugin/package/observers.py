"""What observes a search: one that follows its best output, one that records all that it has considered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.search.back_pointers import Step
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import NEG_INF, BeamState, Observer
from s2s_plugin.tasks.seq2seq import Seq2SeqTask

Hypothesis = tuple[int, int]  # its sentence, and its number among the K of that
Continuation = tuple[Hypothesis | None, Hypothesis, int, float]  # itself (None: it has ended), parent, token, total


@dataclass(frozen=True)
class Node:
    """A hypothesis after a step of the search.

    Attributes:
        token: its last one.
        parent: index of what it continues, in the step before; None in the first step.
        score: of the hypothesis so far, as of an output.
        probability: of the token.
        ended: whether it is finished.
        best: whether the best output passes here.
    """

    token: str
    parent: int | None
    score: float
    probability: float
    ended: bool = False
    best: bool = False
    path: tuple[str, ...] = field(default=(), repr=False)  # its tokens


@dataclass(frozen=True)
class Alternative:
    """A token that the model could have written, with its probability."""

    token: str
    probability: float


class Follower(Observer):
    """Calls ``seen`` with the best text so far before each step of the search for one source."""

    def __init__(self, task: Seq2SeqTask, seen: Callable[[str], None]):
        self.task, self.seen = task, seen

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        best = state.tokens[0, int(state.total[0].argmax()), 1:]
        text = self.task.target_dictionary.string(best if state.vocabulary is None else state.vocabulary[best])
        self.seen(text if self.task.codec is None else self.task.codec.decode(text))
        return scores


class Recorder(Observer):
    """Records the search for one source.

    Args:
        dictionary: of the target.
        alternatives: number of likely tokens to keep after each hypothesis.
        on_step: called before each step of the search; what it raises ends the search.

    Attributes:
        lattice: of each step, the hypotheses after it, best first; empty if the search was not ours.
    """

    def __init__(self, dictionary: Dictionary, alternatives: int, on_step: Callable[[], None] = lambda: None):
        self.dictionary, self.num_alternatives, self.on_step = dictionary, alternatives, on_step
        self.lattice: list[list[Node]] = []
        self._likeliest: list[tuple[Tensor, Tensor]] = []  # of each step, n x K x A probabilities and ids
        self._alternatives: dict[tuple[str, ...], list[Alternative]] = {}  # by the tokens before

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        self.on_step()
        joint = scores if self.ctc is None else self.ctc.process(scores, state)
        best, token = joint.topk(min(self.num_alternatives + 1, scores.size(2)), 2)  # one may be padding
        self._likeliest.append((best.exp(), token if state.vocabulary is None else state.vocabulary[token]))
        return scores

    def finish(self, steps: list[Step], vocabulary: Tensor | None, options: BeamOptions) -> None:
        before: dict[Hypothesis, tuple[int, float]] = {}  # indices in the step before, and totals
        for number, (step, likeliest) in enumerate(zip(steps, self._likeliest, strict=True)):
            paths = {each: self.lattice[-1][index].path for each, (index, _) in before.items()}
            if not number:
                paths = dict.fromkeys([(sentence, 0) for sentence in step.sentences.tolist()], ())
            self._keep_alternatives(step, paths, *likeliest)
            nodes: list[Node] = []
            after: dict[Hypothesis, tuple[int, float]] = {}
            for own, parent, token, total in _continuations(step, self.dictionary.eos(), vocabulary):
                index, total_before = before[parent] if number else (None, 0.0)
                path = () if index is None else self.lattice[-1][index].path
                if own is not None:
                    after[own] = len(nodes), total
                symbol, probability = self.dictionary[token], min(1.0, math.exp(total - total_before))
                score = options.score(total, number + 1)
                nodes.append(Node(symbol, index, score, probability, own is None, path=(*path, symbol)))
            self.lattice.append(nodes)
            before = after

    def mark(self, output: Sequence[str]) -> None:
        """Mark the hypotheses that an output of these tokens has passed."""
        for number, step in enumerate(self.lattice):
            path = tuple(output[: number + 1])
            step[:] = [replace(node, best=node.path == path and number < len(output)) for node in step]

    def alternatives(self, output: Sequence[str]) -> list[list[Alternative]]:
        """Return the likeliest tokens at each place of an output of these tokens; nothing if they are unknown."""
        found = [self._alternatives.get(tuple(output[:place])) for place in range(len(output))]
        return [] if None in found else [each for each in found if each is not None]

    def _keep_alternatives(
        self, step: Step, paths: dict[Hypothesis, tuple[str, ...]], probabilities: Tensor, ids: Tensor
    ) -> None:
        """Keep the likeliest tokens after each hypothesis that there was before a step; ``paths`` are their tokens."""
        rows = {sentence: row for row, sentence in enumerate(step.sentences.tolist())}
        for (sentence, number), path in paths.items():
            if (row := rows.get(sentence)) is None:  # done
                continue
            pairs = zip(ids[row, number].tolist(), probabilities[row, number].tolist(), strict=True)
            likeliest = [
                Alternative(self.dictionary[id_], p) for id_, p in pairs if p > 0 and id_ != self.dictionary.pad()
            ]
            self._alternatives[path] = likeliest[: self.num_alternatives]


def _continuations(step: Step, eos: int, vocabulary: Tensor | None) -> list[Continuation]:
    """Return the hypotheses after a step, best first."""
    result: list[Continuation] = []
    tokens = step.tokens if vocabulary is None else vocabulary[step.tokens]
    for row, sentence in enumerate(step.sentences.tolist()):
        for number in step.finished[row].nonzero().flatten().tolist():
            parent, total = step.finished_parents[row, number], step.finished_totals[row, number]
            result.append((None, (sentence, int(parent)), eos, float(total)))
        for number in step.totals[row].ne(NEG_INF).nonzero().flatten().tolist():
            parent, total = step.parents[row, number], step.totals[row, number]
            result.append(((sentence, number), (sentence, int(parent)), int(tokens[row, number]), float(total)))
    return sorted(result, key=lambda each: -each[3])
