"""Convolutions over images, for the video and image encoders."""

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al. 2016, figure 2) and group normalization.

    Unlike batch normalization, group normalization (Wu & He 2018) keeps items of a batch independent.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(num_groups(out_channels), out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(num_groups(out_channels), out_channels)
        same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        nn.init.zeros_(self.second_norm.weight)  # starts as the shortcut alone

    def forward(self, maps: Tensor) -> Tensor:
        """Map N x in_channels x H x W to N x out_channels x H / stride x W / stride."""
        hidden = self.first_norm(self.first(maps)).relu()
        return (self.shortcut(maps) + self.second_norm(self.second(hidden))).relu()


class ConvStack(nn.Sequential):
    """A stem and residual blocks; each halves height and width and doubles the channels.

    Args:
        in_channels: channels of the image.
        channels: channels of the stem, which halves height and width too.
        blocks: number of blocks; ``output_size`` is channels * 2^blocks, the image is reduced by 2^(blocks + 1).
    """

    def __init__(self, in_channels: int, channels: int, blocks: int):
        self.output_size = channels * 2**blocks
        self.reduction = 2 ** (blocks + 1)
        stem = nn.Conv2d(in_channels, channels, 5, stride=2, padding=2, bias=False)
        super().__init__(
            stem,
            nn.GroupNorm(num_groups(channels), channels),
            nn.ReLU(),
            *(ResidualBlock(channels * 2**i, channels * 2 ** (i + 1), stride=2) for i in range(blocks)),
        )

    def grid(self, shape: Sequence[int]) -> list[int]:
        """Return rows and columns of the output for an image of ``shape`` H x W (x C)."""
        return [-(-size // self.reduction) for size in shape[:2]]


def num_groups(channels: int) -> int:
    """Return the number of groups: at most 8, of at least 8 channels each."""
    return next(count for count in (8, 4, 2, 1) if channels % count == 0 and (channels >= 8 * count or count == 1))
