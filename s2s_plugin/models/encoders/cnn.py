"""Convolutions over pictures, for the video and the image encoder."""

from __future__ import annotations

from torch import Tensor, nn


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016, figure 2), with group normalisation.

    Unlike batch normalisation, that of groups (Wu & He 2018) makes no item depend on the others of its batch.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(groups(outputs), outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(groups(outputs), outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        nn.init.zeros_(self.second_norm.weight)  # begins as the shortcut alone

    def forward(self, maps: Tensor) -> Tensor:
        """N x inputs x H x W to N x outputs x H / stride x W / stride."""
        inner = self.first_norm(self.first(maps)).relu()
        return (self.shortcut(maps) + self.second_norm(self.second(inner))).relu()


class ConvStack(nn.Sequential):
    """A stem and blocks, each of which halves height and width and doubles the channels.

    Args:
        inputs: channels of the picture.
        channels: of the stem, which halves height and width too.
        blocks: number of blocks; ``output_size`` is channels * 2^blocks, the picture is reduced by 2^(blocks + 1).
    """

    def __init__(self, inputs: int, channels: int, blocks: int):
        self.output_size = channels * 2**blocks
        self.reduction = 2 ** (blocks + 1)
        stem = nn.Conv2d(inputs, channels, 5, stride=2, padding=2, bias=False)
        super().__init__(
            stem,
            nn.GroupNorm(groups(channels), channels),
            nn.ReLU(),
            *(Block(channels * 2**i, channels * 2 ** (i + 1), stride=2) for i in range(blocks)),
        )


def groups(channels: int) -> int:
    """Groups of at least 8 channels, at most 8 of them."""
    return next(count for count in (8, 4, 2, 1) if channels % count == 0 and (channels >= 8 * count or count == 1))
