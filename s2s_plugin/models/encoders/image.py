"""Image encoder: a CNN whose output grid of regions is the memory."""

from torch import Tensor, nn

from s2s_plugin.models.encoders.base import Encoder
from s2s_plugin.models.encoders.cnn import ConvStack
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.memory import Memory


class ImageEncoder(Encoder):
    """Encode an image as one memory step a region (Xu et al. 2015, "Show, attend and tell", section 3.1.1).

    ``final`` is the mean over the regions. Lengths are in rows.
    """

    def __init__(self, cnn: ConvStack, value_size: int, dropout: Dropout, max_source_positions: int):
        super().__init__(None, value_size, (1, 1, value_size), max_source_positions)
        self.cnn = cnn
        self.projection = nn.Linear(cnn.output_size, value_size)
        self.dropout = dropout

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Memory:
        """Encode images ``src_tokens`` B x H x W x 3 of one size; ``src_lengths`` is B times H."""
        images = src_tokens.permute(0, 3, 1, 2).to(self.projection.weight.dtype)  # B x 3 x H x W
        regions = self.cnn(images).flatten(2).transpose(1, 2)  # B x S x C with S = H' * W'
        values = self.dropout(self.projection(regions).relu())  # B x S x D
        padding_mask = values.new_zeros(values.shape[:2]).bool()
        return Memory(values, padding_mask, values.mean(1)[:, None, None])
