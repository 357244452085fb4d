"""Log-probabilities of targets that the model did not choose itself, log P(Y|X) by teacher forcing."""

from __future__ import annotations

import math

import numpy as np
import torch
from fairseq import utils
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import token_log_probs
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.back_pointers import to_fairseq
from s2s_plugin.search.options import BeamOptions

BATCH = 32  # items of log_likelihoods


class ReferenceScorer:
    """Returns each target as the only hypothesis of its source, for ``--score-reference``.

    Of the options only those of alignments have an effect.
    """

    def __init__(self, dictionary: Dictionary, options: BeamOptions):
        self.pad, self.options = dictionary.pad(), options
        self.symbols_to_strip_from_output = {dictionary.eos()}

    @torch.no_grad()
    def generate(self, models: list[Seq2SeqModel], sample: dict, **_: object) -> list[list[dict]]:
        """Score fairseq's batch, with ``target`` B x T, by the models' mean probabilities.

        ``score`` is the mean of ``positional_scores``, else hypotheses are those of :meth:`BeamSearch.generate`.

        Raises:
            UserError: there is no target.
        """
        target = sample.get("target")
        if target is None:
            raise UserError("generation.score_reference requires targets; use fairseq-generate")
        for model in models:
            model.eval()
        outputs = [score_target(model, sample["net_input"], target) for model in models]
        scores = torch.stack([each[0] for each in outputs]).logsumexp(0) - math.log(len(models))
        attention = None
        if self.options.needs_attention:
            attention = torch.stack([each[1] for each in outputs]).mean(0)  # B x T x S
        results = []
        for row, length in enumerate(target.ne(self.pad).sum(1).tolist()):
            weights = None if attention is None else attention[row, :length][:, outputs[0][2][row]]
            logprobs = scores[row, :length].clone()
            results.append([to_fairseq(target[row, :length], logprobs.mean(), logprobs, weights, self.options)])
        return results


def score_target(model: Seq2SeqModel, net_input: dict, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lead a model along targets B x T (teacher forcing).

    Returns:
        log P of each token B x T, attention B x T x S, and the mask of memory steps B x S.
    """
    memory = model.encode(net_input["src_tokens"], net_input["src_lengths"])
    embedded = model.decoder.embedding(net_input["prev_output_tokens"])
    features, attention = model.decoder.rnn(embedded, memory)
    log_probs = token_log_probs(model.decoder.generator(features, attention, memory), target)
    return log_probs, attention.float(), ~memory.padding_mask


def log_likelihoods(model: Seq2SeqModel, dataset: PairDataset) -> np.ndarray:
    """Return log P(Y|X) = sum_t log P(y_t | X, y_<t) of each pair, natural logarithm, </s> included; N.

    ``dataclasses.replace(dataset, sources=...)`` scores the same targets with other sources.
    """
    device, pad = next(model.parameters()).device, dataset.dictionary.pad()
    model.eval()
    scores = np.zeros(len(dataset))
    order = dataset.ordered_indices()
    for start in range(0, len(order), BATCH):
        batch = dataset.collater([dataset[i] for i in order[start : start + BATCH]])
        batch = utils.move_to_cuda(batch) if device.type == "cuda" else batch
        target = batch["target"]
        with torch.inference_mode():
            log_probs = token_log_probs(model(**batch["net_input"])[0], target).masked_fill(target == pad, 0)
        scores[batch["id"].cpu().numpy()] = log_probs.double().sum(1).cpu().numpy()
    return scores
