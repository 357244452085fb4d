"""Speech encoder: convolutions that downsample time, then a recurrent stack."""

from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.rnn import RecurrentStack, padding_mask
from s2s_plugin.models.memory import Memory


class Subsampling(nn.Module):
    """Apply 3 x 3 convolutions over time and frequency, each of stride 2 in both, with ReLU.

    Every layer sees zeros beyond an item's end, as at the edge of a batch, so padding changes nothing.

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
        self.output_size = -(-mel_bins // 2**layers) * channels if layers else mel_bins

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames B x S x M and their lengths B to B x S' x ``output_size`` and its lengths."""
        if not self.convolutions:
            return frames, lengths
        maps = frames.unsqueeze(1)  # B x 1 x S x M
        for convolution in self.convolutions:
            lengths = (lengths + 1) // 2
            maps = F.relu(convolution(maps))  # B x C x S' x M'
            maps = maps.masked_fill(padding_mask(lengths, maps.size(2))[:, None, :, None], 0.0)
        return maps.transpose(1, 2).flatten(2), lengths


class SpeechEncoder(Encoder):
    """Encode filterbank frames as a memory with fewer steps: ``subsampling`` -> ``stack``. Lengths are in frames."""

    def __init__(self, subsampling: Subsampling, stack: RecurrentStack, max_source_positions: int):
        super().__init__(None, stack.value_size, stack.final_shape, max_source_positions)
        self.subsampling = subsampling
        self.stack = stack
        self.stride = 2 ** len(subsampling.convolutions) * stack.downsampling

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Encode frames ``src_tokens`` B x S x M of M mel channels, padded on the right; ``src_lengths``: B."""
        frames = src_tokens.to(self.stack.dtype)  # fairseq-generate --fp16 converts the model alone
        return self.stack(*self.subsampling(frames, src_lengths))
