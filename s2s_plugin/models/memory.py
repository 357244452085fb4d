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
        final: B x F summary of the whole source that starts the decoder, whatever the encoder finds best
            (recurrent: last hidden and cell states; image: mean over the grid).
        keys: B x S x A, ``values`` as attention compares them, projected once by ``Decoder.prepare``;
            None until then.
    """

    values: Tensor
    padding_mask: Tensor
    final: Tensor
    keys: Tensor | None = None

    def reorder(self, index: Tensor) -> Memory:
        """Select items of the batch. ``index``: B' positions into B (may repeat)."""
        keys = None if self.keys is None else self.keys.index_select(0, index)
        values, padding_mask, final = (field.index_select(0, index) for field in self[:3])
        return Memory(values, padding_mask, final, keys)
