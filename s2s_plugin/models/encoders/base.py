"""What every encoder is to fairseq and to the decoder."""

from __future__ import annotations

from fairseq.models import FairseqEncoder
from torch import Tensor

from s2s_plugin.models.memory import Memory


class Encoder(FairseqEncoder):
    """A source of any kind to a :class:`Memory`.

    Subclasses define ``forward(src_tokens, src_lengths) -> Memory`` and say how wide their memory is.

    Args:
        dictionary: of the source symbols; None where the source has none.
        value_size: width D of ``Memory.values``.
        final_shape: L x C x F of an item's ``Memory.final``.
        max_source_positions: longest source accepted, in source steps.

    Attributes:
        group: symbols of a source token: itself and its factors.
        stride: source steps for each memory step.
    """

    group, stride = 1, 1

    def __init__(self, dictionary, value_size: int, final_shape: tuple[int, int, int], max_source_positions: int):
        super().__init__(dictionary)
        self.value_size = value_size
        self.final_shape = final_shape
        self.max_source_positions = max_source_positions

    def max_positions(self) -> int:
        return self.max_source_positions

    def reorder_encoder_out(self, encoder_out: Memory, new_order: Tensor) -> Memory:
        """For fairseq's own search, which repeats the memory for every beam; ours never does."""
        return encoder_out.reorder(new_order)
