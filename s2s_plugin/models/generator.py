"""Generator: the decoder's features to scores over the vocabulary (the model part; the beam is in ``search``)."""

from __future__ import annotations

from torch import Tensor, nn

from s2s_plugin.models.dropout import Dropout
from s2s_plugin.models.init import init_uniform


class Generator(nn.Module):
    """logits = E (P f) + b; P only where the features f are not as wide as the output embedding E.

    To tie E with the target embedding (Press & Wolf 2017), assign its table to ``output.weight``.

    Args:
        feature_size: width H of the decoder's features.
        embed_size: width of a row of E.
        vocabulary_size: number V of rows of E.
        dropout: on P f.
    """

    def __init__(self, feature_size: int, embed_size: int, vocabulary_size: int, dropout: float):
        super().__init__()
        self.project: nn.Module = nn.Identity()
        if embed_size != feature_size:
            self.project = nn.Sequential(nn.Linear(feature_size, embed_size, bias=False), Dropout(dropout))
        self.output = nn.Linear(embed_size, vocabulary_size)
        init_uniform(self, feature_size)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor) -> Tensor:
        """``features``: ... x H. Returns unnormalised log-probabilities ... x V."""
        return self.output(self.project(features))
