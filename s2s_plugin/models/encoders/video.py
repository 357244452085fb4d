"""Video encoder: a small CNN over every frame and its neighbors, then a recurrent stack over the frames."""

import torch
from torch import Tensor, nn

from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.cnn import ConvStack
from s2s_plugin.models.encoders.rnn import RecurrentStack
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.memory import Memory

NEIGHBORS = 2  # frames on each side
CLIP_FRAMES = 2 * NEIGHBORS + 1  # as channels: the first convolution is a 3-D convolution of this depth


class VideoEncoder(Encoder):
    """Encode grayscale frames as one memory step each (Assael et al. 2016, "LipNet", with attention instead of CTC).

    Clips of ``CLIP_FRAMES`` frames -> ``cnn`` -> ``projection`` -> dropout -> ``stack``. Lengths are in frames.
    """

    def __init__(
        self, cnn: ConvStack, projection: nn.Linear, stack: RecurrentStack, dropout: Dropout, max_positions: int
    ):
        super().__init__(None, stack.value_size, stack.final_shape, max_positions)
        self.cnn = cnn
        self.projection = projection
        self.dropout = dropout
        self.stack = stack
        self.stride = stack.downsampling

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Encode frames ``src_tokens`` B x S x H x W, padded with zeros on the right; ``src_lengths``: B."""
        batch, steps = src_tokens.shape[:2]
        clips = with_neighbors(src_tokens.to(self.stack.dtype)).flatten(0, 1)  # B*S x 5 x H x W
        maps = self.cnn(clips).flatten(1)  # B*S x C*H'*W'
        vectors = self.projection(maps).relu().view(batch, steps, -1)
        return self.stack(self.dropout(vectors), src_lengths)


def with_neighbors(frames: Tensor) -> Tensor:
    """Map B x S x H x W to clips B x S x CLIP_FRAMES x H x W: each frame in the middle, zeros beyond the ends."""
    edge = frames.new_zeros(frames.size(0), NEIGHBORS, *frames.shape[2:])
    padded = torch.cat((edge, frames, edge), 1)
    return torch.stack([padded[:, shift : shift + frames.size(1)] for shift in range(CLIP_FRAMES)], 2)
