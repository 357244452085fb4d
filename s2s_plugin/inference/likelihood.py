"""How probable a model finds targets that it did not choose itself."""

from __future__ import annotations

import numpy as np
import torch
from fairseq import utils

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.models.generator import token_log_probs
from s2s_plugin.models.seq2seq import Seq2SeqModel

BATCH = 32  # items


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
