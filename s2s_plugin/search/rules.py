"""Hard constraints on the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.state import NEG_INF, BeamState, Collaborator


class LogitsConstraints(Collaborator):
    """Lengths, prefixes, penalties and n-gram blocking of n unfinished sentences.

    ``special`` are the ids of padding, unknown word and </s>. The n ``max_len``, without </s>, take precedence over the
    n ``min_len``. Every hypothesis must begin with its sentence's row of ``prefix``, n x P, padded on the right.
    """

    per_sentence = ("max_len", "min_len", "prefix")

    def __init__(
        self, options: BeamOptions, special: tuple[int, ...], max_len: Tensor, min_len: Tensor, prefix: Tensor | None
    ):
        self.options, (self.pad, self.unk, self.eos) = options, special
        self.max_len, self.min_len, self.prefix = max_len, min_len, prefix
        self._update_bounds()

    def process(self, scores: Tensor, state: BeamState) -> Tensor:
        options, tokens, step = self.options, state.tokens, state.step
        scores[..., self.pad] = NEG_INF
        if options.unkpen:
            scores[..., self.unk] -= options.unkpen
        if options.repetition_penalty != 1 and step:
            generated = tokens[:, :, 1:]
            scores.scatter_(2, generated, scores.gather(2, generated) * options.repetition_penalty)
        free = step < self.max_len  # n: neither at the end nor forced
        if step >= self.shortest_max_len:
            self._force(scores, ~free, torch.full_like(self.max_len, self.eos))
        forced = None
        if self.prefix is not None and step < self.prefix.size(1):
            forced = self.prefix[:, step].ne(self.pad) & free
            self._force(scores, forced, self.prefix[:, step])
            free &= ~forced
        if step < self.longest_min_len:
            early = free & (step < self.min_len)
            scores[..., self.eos] = scores[..., self.eos].masked_fill(early.unsqueeze(1), NEG_INF)
        if 0 < options.no_repeat_ngram_size <= step:
            self._block_ngrams(scores, tokens[:, :, 1:], options.no_repeat_ngram_size, forced)
        return scores

    def keep(self, active: Tensor) -> None:
        super().keep(active)
        self._update_bounds()

    def _update_bounds(self) -> None:
        self.shortest_max_len, self.longest_min_len = int(self.max_len.min()), int(self.min_len.max())

    def _block_ngrams(self, scores: Tensor, generated: Tensor, size: int, forced: Tensor | None) -> None:
        """Forbid tokens that repeat an n-gram of ``generated`` (n x K x t), except in ``forced`` sentences (n)."""
        grams = generated.unfold(2, size, 1)  # n x K x W x size
        tail = generated[:, :, generated.size(2) - size + 1 :].unsqueeze(2)  # n x K x 1 x (size - 1)
        repeats = (grams[..., :-1] == tail).all(-1)  # n x K x W
        if forced is not None:
            repeats &= ~forced.view(-1, 1, 1)
        banned = torch.where(repeats, grams[..., -1], self.pad)  # pad is forbidden already
        scores.scatter_(2, banned, NEG_INF)

    @staticmethod
    def _force(scores: Tensor, where: Tensor, token: Tensor) -> None:
        """Allow only ``token`` (n) in the sentences ``where`` (n)."""
        index = token.view(-1, 1, 1).expand(-1, scores.size(1), 1)
        only = torch.full_like(scores, NEG_INF).scatter_(2, index, scores.gather(2, index))
        scores.copy_(torch.where(where.view(-1, 1, 1), only, scores))
