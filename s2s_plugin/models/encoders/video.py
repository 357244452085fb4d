"""Video encoder: a small CNN over every frame and its neighbours, then a recurrent stack over the frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.cnn import ConvStack
from s2s_plugin.models.encoders.rnn import RecurrentStack
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.memory import Memory

NEIGHBOURS = 2  # frames on each side that the first convolution sees: it is a 3-D convolution of depth 5


class VideoEncoder(Encoder):
    """Grey frames to one memory step each (Assael et al. 2016, "LipNet", with attention instead of CTC).

    Args:
        pictures: CNN over stacks of ``2 * NEIGHBOURS + 1`` frames.
        projection: flattened CNN output to the input of ``stack``.
        stack: reads a vector for each frame.
        dropout: on those vectors.
        max_source_positions: longest source accepted, in frames.
    """

    def __init__(
        self,
        pictures: ConvStack,
        projection: nn.Linear,
        stack: RecurrentStack,
        dropout: Dropout,
        max_source_positions: int,
    ):
        super().__init__(None, stack.value_size, stack.final_shape, max_source_positions)
        self.pictures = pictures
        self.projection = projection
        self.dropout = dropout
        self.stack = stack
        self.stride = stack.pace

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S x H x W frames, padded with zeros on the right; ``src_lengths``: B."""
        batch, steps = src_tokens.shape[:2]
        clips = with_neighbours(src_tokens.to(self.stack.dtype)).flatten(0, 1)  # B*S x 5 x H x W
        maps = self.pictures(clips).flatten(1)  # B*S x C*H'*W'
        vectors = self.projection(maps).relu().view(batch, steps, -1)
        return self.stack(self.dropout(vectors), src_lengths)


def with_neighbours(frames: Tensor) -> Tensor:
    """B x S x H x W to B x S x (2 * NEIGHBOURS + 1) x H x W: each frame between those around it, zeros beyond."""
    edge = frames.new_zeros(frames.size(0), NEIGHBOURS, *frames.shape[2:])
    padded = torch.cat((edge, frames, edge), 1)
    return padded.unfold(1, 2 * NEIGHBOURS + 1, 1).movedim(-1, 2)
