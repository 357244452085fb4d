"""Speech encoder: convolutions that thin out time, then a recurrent stack."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.rnn import RecurrentStack, padding_mask
from s2s_plugin.models.memory import Memory


class SpeechEncoder(Encoder):
    """Filterbank frames to a memory with fewer steps.

    Args:
        subsampling: reads the frames.
        stack: reads its outputs; its input size must be ``subsampling.output_size``.
        max_source_positions: longest source accepted, in frames.
    """

    def __init__(self, subsampling: Subsampling, stack: RecurrentStack, max_source_positions: int):
        super().__init__(None, stack.value_size, stack.final_shape, max_source_positions)
        self.subsampling = subsampling
        self.stack = stack
        self.stride = 2 ** len(subsampling.convolutions) * stack.pace

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """``src_tokens``: B x S x M frames of M mel channels, padded on the right; ``src_lengths``: B."""
        frames = src_tokens.to(self.stack.dtype)  # fairseq-generate --fp16 halves the model alone
        return self.stack(*self.subsampling(frames, src_lengths))


class Subsampling(nn.Module):
    """Convolutions 3 x 3 over time and frequency, each of stride 2 in both, with ReLU.

    Every layer sees zeros beyond an item's end, as it does at the edge of a batch, so padding changes nothing.

    Args:
        mel_bins: number M of mel channels.
        channels: number C of feature maps.
        layers: the number of steps is divided by 2^layers (rounded up).
    """

    def __init__(self, mel_bins: int, channels: int, layers: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels if layer else 1, channels, 3, stride=2, padding=1) for layer in range(layers)
        )
        bins = mel_bins
        for _ in range(layers):
            bins = halved(bins)
        self.output_size = bins * channels if layers else mel_bins

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """B x S x M frames and their B lengths to B x S' x ``output_size`` and theirs."""
        if not self.convolutions:
            return frames, lengths
        maps = frames.unsqueeze(1)  # B x 1 x S x M
        for convolution in self.convolutions:
            lengths = halved(lengths)
            maps = F.relu(convolution(maps))  # B x C x S' x M'
            maps = maps.masked_fill(padding_mask(lengths, maps.size(2))[:, None, :, None], 0.0)
        return maps.transpose(1, 2).flatten(2), lengths


def halved(size):
    """Steps after a convolution of width 3, padding 1 and stride 2."""
    return (size + 1) // 2
