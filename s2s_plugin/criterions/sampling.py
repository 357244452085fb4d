"""Training on samples of the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from s2s_plugin.models.layers.dropout import Dropout


@torch.no_grad()
def scheduled_sampling(model, inputs: dict, target: Tensor, pad: int, probability: float) -> Tensor:
    """Replace previous tokens by samples of the model (Bengio et al. 2015), at all steps at once.

    A first pass over the true tokens samples a token at each step; the second pass is trained on a mixture
    (Mihaylova & Martins 2019; Duckworth et al. 2019). ``target`` and the result are B x T ids.
    """
    previous = inputs["prev_output_tokens"]
    logits, _ = model(**{**inputs, "features_only": False})
    samples = torch.distributions.Categorical(logits=logits.float()).sample()  # B x T, each for the next step
    replace = (torch.rand(samples.shape, device=samples.device) < probability) & target.ne(pad)
    mixed = previous.clone()
    mixed[:, 1:] = torch.where(replace[:, :-1], samples[:, :-1], previous[:, 1:])
    return mixed.masked_fill(previous.eq(pad), pad)


@torch.no_grad()
def sample_targets(
    model, inputs: dict, max_lens: Tensor, copies: int, choose: Callable[[Tensor], Tensor], eos: int, pad: int
) -> Tensor:
    """Decode token by token; return N = B * K targets, N x T ids, the K ``copies`` of an item adjacent.

    ``max_lens`` are the B maximum lengths; a target of that length ends without </s>. ``choose`` maps logits N x V to
    N ids, never padding.
    """
    memory = model.encode(inputs["src_tokens"], inputs["src_lengths"])
    rnn = model.decoder.rnn
    items = torch.arange(len(max_lens), device=max_lens.device).repeat_interleave(copies)
    state, max_lens = rnn.initial_state(memory).reorder(items), max_lens[items]
    last, active = torch.full_like(items, eos), torch.ones_like(items, dtype=torch.bool)
    steps: list[Tensor] = []
    while active.any():
        state, features, weights = rnn.step(model.decoder.embedding(last), state, memory)
        last = choose(model.decoder.generator(features, weights, memory))
        steps.append(last.masked_fill(~active, pad))
        active = active & last.ne(eos) & (max_lens > len(steps))
    return torch.stack(steps, 1)


@contextmanager
def without_dropout(model) -> Iterator[None]:
    """Turn dropout off. All else stays in train mode, without which cuDNN's recurrences give no gradient."""
    layers = [module for module in model.modules() if isinstance(module, Dropout) and module.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
