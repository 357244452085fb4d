"""State of a search between two steps, and the protocol of what takes part in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from s2s_plugin.models.decoders import DecoderState
from s2s_plugin.models.memory import Memory
from s2s_plugin.search.back_pointers import Step
from s2s_plugin.search.options import BeamOptions

NEG_INF = float("-inf")
OBSERVER: ContextVar[Observer | None] = ContextVar("OBSERVER", default=None)  # of the searches in this context
FORCED_EOS_LOGPROB = -1e4  # lower bound for </s> where a hypothesis must end
SYNC_INTERVAL = {"cpu": 1, "cuda": 8}  # steps between checks for finished sentences, which make a GPU wait


@dataclass
class BeamState:
    """Unfinished hypotheses of n sentences, K each."""

    decoder_states: list[DecoderState]  # of each model, N = n * K rows
    memories: list[Memory]  # of each model, n items; never copied per hypothesis
    tokens: Tensor  # n x K x (t + 1) ids, the first is </s>
    total: Tensor  # n x K sums of log-probabilities; -inf marks dead hypotheses
    max_len: Tensor  # n maximum output lengths, without </s>
    generators: Sequence[Callable[..., Tensor]]  # of each model, from its features to V logits
    vocabulary: Tensor | None = None  # ids of the V tokens, which the search numbers 0, 1, ...; None: all
    sentence: Tensor = field(init=False)  # n positions in the batch, ascending
    count: Tensor = field(init=False)  # n numbers of finished hypotheses
    best: Tensor = field(init=False)  # n scores of the best of them
    greedy: Tensor = field(init=False)  # n: whether the greedy hypothesis, number 0, is unfinished
    done: Tensor = field(init=False)  # n: whether no more hypotheses count
    rows: Tensor = field(init=False)  # n x K rows of decoder_states that the hypotheses continue

    def __post_init__(self):
        sentences, beam = self.total.shape
        self.sentence = torch.arange(sentences, device=self.total.device)
        self.count = torch.zeros_like(self.sentence)
        self.best = torch.full_like(self.total[:, 0], NEG_INF)
        self.greedy, self.done = self.count.eq(0), self.count.ne(0)
        self.rows = torch.arange(sentences * beam, device=self.total.device).view(sentences, beam)

    @property
    def step(self) -> int:
        """Number t of tokens generated so far."""
        return self.tokens.size(2) - 1

    def advance(self, parent: Tensor, token: Tensor, total: Tensor) -> None:
        """Continue hypotheses ``parent`` with ``token``, to the sums ``total``; n x K each."""
        beam = self.tokens.size(1)
        generated = self.tokens.gather(1, parent.unsqueeze(2).expand(-1, -1, self.tokens.size(2)))
        self.rows = parent + torch.arange(0, len(parent) * beam, beam, device=parent.device).unsqueeze(1)
        self.tokens, self.total = torch.cat((generated, token.unsqueeze(2)), 2), total

    def keep(self, active: Tensor) -> None:
        """Drop all sentences except those at the positions ``active``."""
        self.tokens, self.total, self.rows = self.tokens[active], self.total[active], self.rows[active]
        for name in ("max_len", "sentence", "count", "best", "greedy", "done"):
            setattr(self, name, getattr(self, name)[active])
        self.memories = [memory.reorder(active) for memory in self.memories]

    def reorder(self) -> None:
        """Move the decoder states to ``rows``."""
        self.decoder_states = [state.reorder(self.rows.view(-1)) for state in self.decoder_states]


class Collaborator:
    """Takes part in each search step; by default it does nothing."""

    per_sentence: tuple[str, ...] = ()  # names of tensors whose first dimension is the n sentences; they may be None

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        """Return the log-probabilities of the next token, n x K x V, changed (perhaps in place)."""
        return scores

    def advance(self, parent: Tensor, token: Tensor) -> None:
        """Follow hypotheses ``parent`` that continue with ``token``, n x K each."""

    def keep(self, active: Tensor) -> None:
        """Drop all sentences except those at the positions ``active``."""
        for name in self.per_sentence:
            if (tensor := getattr(self, name)) is not None:
                setattr(self, name, tensor[active])


class Observer(Collaborator):
    """Sees a search, before all others that take part in its steps; it changes nothing.

    Attributes:
        ctc: what adds the share of a CTC head to log-probabilities, if the search does.
    """

    ctc: Collaborator | None = None

    def finish(self, steps: list[Step], vocabulary: Tensor | None, options: BeamOptions) -> None:
        """Take the steps of the search when it has ended; ``vocabulary``: see :func:`trace_back`."""


class Selector(Collaborator):
    """Chooses the candidates of each step."""

    def choose(self, scores: Tensor, end: Tensor, state: BeamState) -> tuple[Tensor, Tensor, Tensor]:
        """Return totals, parents (hypothesis numbers) and tokens of C candidates, n x C each, best first.

        Args:
            scores: n x K x V log-probabilities of the next token, -inf where forbidden.
            end: n x K log-probabilities of </s> before any constraint, for where no token is allowed.
            state: of the search.
        """
        raise NotImplementedError
