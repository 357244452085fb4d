"""The next token by the model and by the neighbors of its state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from s2s_plugin.models.attention.base import softmax
from s2s_plugin.models.memory import Memory
from s2s_plugin.search.knn.datastore import Datastore
from s2s_plugin.search.options import BeamOptions


class NeighborGenerator:
    """P(y) = (1 - w) P_model(y) + w P_kNN(y) (Khandelwal et al. 2021, equations 2 and 3).

    P_kNN(y) is the sum of softmax(-d / T) over those of the k nearest states whose token is y. The distances d are
    squared, in units of the variance of the datastore's keys, so that a temperature T suits models of any width. w, k
    and T are ``knn_weight``, ``knn_neighbors`` and ``knn_temperature``.
    """

    def __init__(self, generator: Callable[..., Tensor], datastore: Datastore, options: BeamOptions):
        self.generator, self.datastore, self.options = generator, datastore, options

    def __call__(self, features: Tensor, attention: Tensor, memory: Memory) -> Tensor:
        """Return log P as logits, N x V, for features N x H."""
        p_model = softmax(self.generator(features, attention, memory).float())
        rows, weights = neighbors(self.datastore, features, self.options)
        p_knn = torch.zeros_like(p_model).scatter_add(1, self.datastore.values[rows.cpu()].to(rows.device), weights)
        p = torch.lerp(p_model, p_knn, self.options.knn_weight)
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()


def neighbors(datastore: Datastore, features: Tensor, options: BeamOptions) -> tuple[Tensor, Tensor]:
    """Return the nearest states of features N x H: rows and weights, N x k each, nearest first."""
    distances, rows = datastore.nearest(features, options.knn_neighbors)
    return rows, softmax(-distances / (datastore.variance * options.knn_temperature))
