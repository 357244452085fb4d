"""Memory: the encoder's output, of the same type for text, speech, video and images."""

from typing import NamedTuple

from torch import Tensor


class Memory(NamedTuple):
    """Encoded source, batch-first, padded on the right.

    Nothing after the encoder depends on the modality: attention reads ``values``, the bridge reads ``final``: the
    last hidden state and, where kept, the last cell state of each of L layers; for images the mean value.
    """

    values: Tensor  # B x S x D annotations that attention averages
    padding_mask: Tensor  # B x S, True at padding; at least one False in every item
    final: Tensor  # B x L x C x F summary of the source for the decoder's initial state
    keys: Tensor | None = None  # B x S x A projected values for attention, from Attention.precompute_keys
    copy_ids: Tensor | None = None  # B x S target-dictionary ids of the source tokens, for the pointer generator
    meanings: Tensor | None = None  # B x S x H embeddings of the source tokens, for the syntactic decoder

    def reorder(self, index: Tensor) -> "Memory":
        """Select items by ``index``: B' positions into B (may repeat)."""
        return Memory._make(None if field is None else field.index_select(0, index) for field in self)

    def repeat(self, times: int) -> "Memory":
        """Repeat each item ``times`` times, with its copies adjacent."""
        return Memory._make(None if field is None else field.repeat_interleave(times, 0) for field in self)
