"""Base of all encoders."""

from fairseq.models import FairseqEncoder
from torch import Tensor

from s2s_plugin.models.memory import Memory


class Encoder(FairseqEncoder):
    """Encode a source of any modality as a :class:`Memory`.

    Subclasses define ``forward(src_tokens, src_lengths) -> Memory``.

    Args:
        dictionary: of the source tokens; None for signals.
        value_size: width D of ``Memory.values``.
        final_shape: L x C x F of one item's ``Memory.final``.
        max_source_positions: maximum length of a source, in source steps.
    """

    group = 1  # source positions of a token: itself and its factors
    stride = 1  # source positions of a memory step

    def __init__(self, dictionary, value_size: int, final_shape: tuple[int, int, int], max_source_positions: int):
        super().__init__(dictionary)
        self.value_size = value_size
        self.final_shape = final_shape
        self.max_source_positions = max_source_positions

    def max_positions(self) -> int:
        return self.max_source_positions

    def reorder_encoder_out(self, encoder_out: Memory, new_order: Tensor) -> Memory:
        """Select items for fairseq's own search, which repeats the memory for every beam; ours does not."""
        return encoder_out.reorder(new_order)
