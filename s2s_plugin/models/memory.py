"""What an encoder hands to the decoder: the same type for text, speech, video and image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Memory(NamedTuple):
    """Encoded source, batch-first, padding on the right.

    Nothing after the encoder knows what the source was: attention reads ``values``, the bridge reads ``final``.

    Attributes:
        values: B x S x D annotations that attention averages.
        padding_mask: B x S, True at padding. Every item has at least one False.
        final: B x L x C x F summary of the whole source that starts the decoder, whatever the encoder finds best
            (recurrent: of each of its L layers the last hidden state and, for LSTM layers that keep it, the last cell
            state; image: mean over the grid, L = C = 1).
        keys: B x S x A, ``values`` as attention compares them, projected once by ``Decoder.precompute_keys``;
            None until then.
        copy_ids: B x S ids of the source in the target's dictionary, where they may be copied; else None.
    """

    values: Tensor
    padding_mask: Tensor
    final: Tensor
    keys: Tensor | None = None
    copy_ids: Tensor | None = None

    def reorder(self, index: Tensor) -> Memory:
        """Select items of the batch. ``index``: B' positions into B (may repeat)."""
        return Memory._make(None if field is None else field.index_select(0, index) for field in self)

    def repeat(self, times: int) -> Memory:
        """Each item ``times`` over, its copies together."""
        return Memory._make(None if field is None else field.repeat_interleave(times, 0) for field in self)
