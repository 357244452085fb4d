"""Memory: the encoder's output, of the same type for text, speech, video and images."""

from typing import NamedTuple

from torch import Tensor


class Memory(NamedTuple):
    """Encoded source, batch-first, padded on the right.

    Nothing after the encoder depends on the modality: attention reads ``values``, the bridge reads ``final``.

    Attributes:
        values: B x S x D annotations that attention averages.
        padding_mask: B x S, True at padding; at least one False in every item.
        final: B x L x C x F summary of the source for the decoder's initial state (recurrent encoders: for each of L
            layers the last hidden state and, for LSTM layers that keep it, the last cell state; image encoder: the
            mean over the grid, L = C = 1).
        keys: B x S x A projected ``values`` for attention, computed once by ``Attention.precompute_keys``; None before.
        copy_ids: B x S target-dictionary ids of the source tokens for the pointer generator; None without one.
    """

    values: Tensor
    padding_mask: Tensor
    final: Tensor
    keys: Tensor | None = None
    copy_ids: Tensor | None = None

    def reorder(self, index: Tensor) -> "Memory":
        """Select items by ``index``: B' positions into B (may repeat)."""
        return Memory._make(None if field is None else field.index_select(0, index) for field in self)

    def repeat(self, times: int) -> "Memory":
        """Repeat each item ``times`` times, with its copies adjacent."""
        return Memory._make(None if field is None else field.repeat_interleave(times, 0) for field in self)
