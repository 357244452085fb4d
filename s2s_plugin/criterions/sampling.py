"""Training on what the model itself would write."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def scheduled_sampling(model, inputs: dict, target: Tensor, pad: int, share: float) -> Tensor:
    """Replace previous symbols by those the model writes there (Bengio et al. 2015), at all steps at once.

    The first pass, on the true symbols, says what would be drawn at each step; the second is then trained on a mixture
    (Mihaylova & Martins 2019; Duckworth et al. 2019). Any decoder style stays as fast as it is.

    Args:
        inputs: ``src_tokens``, ``src_lengths`` and ``prev_output_tokens`` B x T.
        target: B x T ids.
        pad: id of padding.
        share: probability of replacing a symbol.

    Returns:
        B x T ids.
    """
    previous = inputs["prev_output_tokens"]
    logits, _ = model(**{**inputs, "features_only": False})
    drawn = torch.distributions.Categorical(logits=logits.float()).sample()  # B x T, each for the step after
    replace = torch.rand(drawn.shape, device=drawn.device) < share
    replace &= target.ne(pad)
    mixed = previous.clone()
    mixed[:, 1:] = torch.where(replace[:, :-1], drawn[:, :-1], previous[:, 1:])
    return mixed.masked_fill(previous.eq(pad), pad)
