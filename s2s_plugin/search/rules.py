"""What may not come next."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_plugin.search.options import BeamOptions

NEG_INF = float("-inf")
FORCED_EOS_LOGPROB = -1e4  # log-probability of a </s> that has none, where a hypothesis must end


class LogitsConstraints:
    """Lengths, prefixes and n-grams of n unfinished sentences.

    Args:
        options: see :class:`BeamOptions`.
        symbols: ids of padding, unknown word and </s>.
        limit: n, the longest outputs, without </s>.
        least: n, the shortest ones; a limit that is lower counts.
        prefix: n x P ids every hypothesis must begin with, padded on the right; or None.
    """

    def __init__(
        self,
        options: BeamOptions,
        symbols: tuple[int, int, int],
        limit: Tensor,
        least: Tensor,
        prefix: Tensor | None,
    ):
        self.options = options
        self.pad, self.unk, self.eos = symbols
        self.limit, self.least, self.prefix = limit, least, prefix
        self.first_limit = int(limit.min())  # no sentence must end before
        self.last_least = int(least.max())  # all sentences may end from there

    def apply(self, scores: Tensor, tokens: Tensor, step: int) -> None:
        """Forbid in place.

        Args:
            scores: n x K x V log-probabilities of the next symbol.
            tokens: n x K x (step + 1) ids so far, first </s>.
            step: symbols so far.
        """
        options = self.options
        scores[..., self.pad] = NEG_INF
        if options.unkpen:
            scores[..., self.unk] -= options.unkpen
        if options.repetition_penalty != 1 and step:
            written = tokens[:, :, 1:]
            scores.scatter_(2, written, scores.gather(2, written) * options.repetition_penalty)
        free = step < self.limit  # n: neither at the end nor forced
        if step >= self.first_limit:
            self._forbid_all_but(scores, ~free, torch.full_like(self.limit, self.eos))
        forced = None
        if self.prefix is not None and step < self.prefix.size(1):
            forced = self.prefix[:, step].ne(self.pad) & free
            self._forbid_all_but(scores, forced, self.prefix[:, step])
            free &= ~forced
        if step < self.last_least:
            early = free & (step < self.least)
            scores[..., self.eos] = scores[..., self.eos].masked_fill(early.unsqueeze(1), NEG_INF)
        if 0 < options.no_repeat_ngram_size <= step:
            self._forbid_repeats(scores, tokens[:, :, 1:], options.no_repeat_ngram_size, forced)

    def keep(self, sentences: Tensor) -> None:
        self.limit = self.limit[sentences]
        self.least = self.least[sentences]
        self.first_limit, self.last_least = int(self.limit.min()), int(self.least.max())
        self.prefix = None if self.prefix is None else self.prefix[sentences]

    def _forbid_repeats(self, scores: Tensor, written: Tensor, size: int, forced: Tensor | None) -> None:
        """Nothing may complete an n-gram that is ``written`` (n x K x t) already, but for what is ``forced`` (n)."""
        grams = written.unfold(2, size, 1)  # n x K x W x size
        tail = written[:, :, written.size(2) - size + 1 :].unsqueeze(2)  # n x K x 1 x (size - 1)
        repeats = (grams[..., :-1] == tail).all(-1)  # n x K x W
        if forced is not None:
            repeats &= ~forced.view(-1, 1, 1)
        banned = torch.where(repeats, grams[..., -1], self.pad)  # pad is forbidden already
        scores.scatter_(2, banned, NEG_INF)

    @staticmethod
    def _forbid_all_but(scores: Tensor, where: Tensor, token: Tensor) -> None:
        """In the sentences of ``where`` (n) only ``token`` (n) stays possible."""
        index = token.view(-1, 1, 1).expand(-1, scores.size(1), 1)
        only = torch.full_like(scores, NEG_INF).scatter_(2, index, scores.gather(2, index))
        scores.copy_(torch.where(where.view(-1, 1, 1), only, scores))
