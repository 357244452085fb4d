"""Scoring given pairs: log P(Y|X) by teacher forcing, for ``--score-reference``."""

from __future__ import annotations

import math

import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import token_log_probs
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.alignment import alignment
from s2s_plugin.search.options import BeamOptions


class ReferenceScorer:
    """Gives each target as the one hypothesis of its source. Nothing is searched.

    Args:
        dictionary: of the target.
        options: of which those of alignments count.
    """

    def __init__(self, dictionary: Dictionary, options: BeamOptions):
        self.pad, self.options = dictionary.pad(), options
        self.symbols_to_strip_from_output = {dictionary.eos()}

    @torch.no_grad()
    def generate(self, models: list[Seq2SeqModel], sample: dict, **_: object) -> list[list[dict]]:
        """Hypotheses in the shape of :meth:`BeamSearch.generate`; ``score`` is the mean of ``positional_scores``.

        Args:
            models: ensemble of one or more, averaged in probability.
            sample: fairseq's batch, with ``target`` B x T.

        Raises:
            UserError: there is no target.
        """
        target = sample.get("target")
        if target is None:
            raise UserError("generation.score_reference scores given targets, and there are none: use fairseq-generate")
        for model in models:
            model.eval()
        found = [self._score(model, sample["net_input"], target) for model in models]
        scores = torch.stack([each[0] for each in found]).logsumexp(0) - math.log(len(models))
        attention = None
        if self.options.reads_attention:
            attention = torch.stack([each[1] for each in found]).mean(0)  # B x T x S
        printed, for_unknown = self.options.print_alignment, self.options.replace_unk is not None
        results = []
        for row, length in enumerate(target.ne(self.pad).sum(1).tolist()):
            weights = None if attention is None else attention[row, :length][:, found[0][2][row]]
            results.append(
                [
                    {
                        "tokens": target[row, :length],
                        "score": scores[row, :length].mean(),
                        "positional_scores": scores[row, :length].clone(),
                        "attention": None if weights is None else weights.t(),
                        "alignment": alignment(weights, printed, for_unknown),
                    }
                ]
            )
        return results

    @staticmethod
    def _score(model: Seq2SeqModel, net_input: dict, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log P of each symbol B x T, attention B x T x S, and which of the S are no padding, B x S."""
        memory = model.encode(net_input["src_tokens"], net_input["src_lengths"])
        embedded = model.decoder.embedding(net_input["prev_output_tokens"])
        features, attention = model.decoder.rnn(embedded, memory)
        log_probs = token_log_probs(model.decoder.generator(features, attention, memory), target)
        return log_probs, attention.float(), ~memory.padding_mask
