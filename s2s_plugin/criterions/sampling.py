"""Training on what the model itself would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from s2s_plugin.models.layers.dropout import Dropout


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


@torch.no_grad()
def write(
    model, inputs: dict, limit: Tensor, copies: int, choose: Callable[[Tensor], Tensor], eos: int, pad: int
) -> Tensor:
    """Let the model write targets of its own, symbol by symbol.

    Args:
        inputs: ``src_tokens`` and ``src_lengths`` of B items.
        limit: B, longest lengths in symbols; what is as long ends there, without </s>.
        copies: number K of targets for each item.
        choose: N x V logits to N ids, N = B * K.
        eos: id of </s>, which ends a target.
        pad: id of padding, which ``choose`` must not give.

    Returns:
        N x T ids, the K targets of an item together, padded on the right.
    """
    memory = model.encode(inputs["src_tokens"], inputs["src_lengths"])
    rnn = model.decoder.rnn
    items = torch.arange(len(limit), device=limit.device).repeat_interleave(copies)
    state, limit = rnn.initial_state(memory).reorder(items), limit[items]
    last, going = torch.full_like(items, eos), torch.ones_like(items, dtype=torch.bool)
    written: list[Tensor] = []
    while going.any():
        state, features, weights = rnn.step(model.decoder.embedding(last), state, memory)
        last = choose(model.decoder.generator(features, weights, memory))
        written.append(last.masked_fill(~going, pad))
        going = going & last.ne(eos) & (limit > len(written))
    return torch.stack(written, 1)


@contextmanager
def without_dropout(model) -> Iterator[None]:
    """The model as it decodes. All else stays in train mode, without which cuDNN's recurrences give no gradient."""
    layers = [module for module in model.modules() if isinstance(module, Dropout) and module.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
