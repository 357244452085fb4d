"""What each source token contributes to an output: attention, gradient x input, leaving it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from fairseq import utils
from torch import Tensor, nn

from s2s_plugin.inference.translator import Translator
from s2s_plugin.search.scorer import score_target

MAX_BATCH = 32  # sources without a token that are scored at once


class Attribution(NamedTuple):
    """An output of T tokens that the model is led along, and what it owes to the S memory steps of the source."""

    log_probs: Tensor  # T, of each output token, natural logarithm
    attention: Tensor | None  # T x S weights; None for a model without attention


def attribute(translator: Translator, source: Tensor, target: Tensor) -> Attribution:
    """Lead the model along an output, T ids that end with </s>, of a source, S ids or S x ... features."""
    model = translator.models[0]
    with torch.inference_mode():
        log_probs, attention, _ = score_target(model, *_batch(translator, [source], target))
    return Attribution(log_probs[0].cpu(), attention[0].cpu() if translator.attends else None)


def gradient_times_input(translator: Translator, source: Tensor, target: Tensor) -> Tensor | None:
    """Return T x S: for each output token and memory step, the sum of d log P(y_t | X, y_<t) / de * e over the step.

    e are the embeddings of the step's tokens and their factors (Denil et al. 2014; for translation Ding et al. 2019,
    "Saliency-driven word alignment"). A row adds up to how fast log P grows as all embeddings grow by the same factor.
    None for a model whose encoder has no ``embedding``.
    """
    model = translator.models[0]
    embedding = getattr(model.encoder, "embedding", None)
    if not isinstance(embedding, nn.Module):
        return None
    inputs: list[Tensor] = []

    def keep(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        if inputs:  # the decoder's, where the two share a table
            return output
        inputs.append(output.detach().requires_grad_())
        return inputs[0]

    hook = embedding.register_forward_hook(keep)
    try:
        with torch.backends.cudnn.flags(enabled=False):  # its recurrences have no gradient in evaluation
            log_probs, _, _ = score_target(model, *_batch(translator, [source], target))
            gradients = [torch.autograd.grad(each, inputs[0], retain_graph=True)[0] for each in log_probs[0]]
    finally:
        hook.remove()
    products = torch.stack(gradients).mul(inputs[0]).flatten(3).sum(3).squeeze(1)  # T x tokens
    joined = model.encoder.stride // model.encoder.group  # tokens of a memory step
    missing = -products.size(1) % joined
    return nn.functional.pad(products, (0, missing)).unflatten(1, (-1, joined)).sum(2).detach().cpu()


def leave_one_out(translator: Translator, source: Tensor, target: Tensor) -> Tensor:
    """Return T x S: by how much log P(y_t | X, y_<t) falls when the tokens of a memory step are left out of X.

    A negative number: without the step the token would be likelier. NaN for the step of </s> alone, which stays.
    """
    stride, end = translator.models[0].encoder.stride, len(source) - 1
    steps = [(start, min(start + stride, end)) for start in range(0, end, stride)]
    shortened = [torch.cat((source[:start], source[stop:])) for start, stop in steps]
    whole = attribute(translator, source, target).log_probs
    result = whole.new_full((len(whole), -(-len(source) // stride)), float("nan"))
    for first in range(0, len(shortened), MAX_BATCH):
        some = shortened[first : first + MAX_BATCH]
        net_input, targets = _batch(translator, some, target)
        with torch.inference_mode():
            log_probs, _, _ = score_target(translator.models[0], net_input, targets)
        result[:, first : first + len(some)] = (whole - log_probs.cpu()).t()
    return result


def _batch(translator: Translator, sources: Sequence[Tensor], target: Tensor) -> tuple[dict, Tensor]:
    """Return what the model is called with for sources that share an output, in their order, and N x T targets."""
    model = translator.models[0].eval()
    lengths = [len(source) for source in sources]
    dataset = translator.task.build_dataset_for_inference(sources, lengths)
    net_input = {
        "src_tokens": nn.utils.rnn.pad_sequence(list(sources), batch_first=True, padding_value=dataset.source_padding),
        "src_lengths": torch.tensor(lengths),
        "prev_output_tokens": torch.cat((target[-1:], target[:-1])).expand(len(sources), -1),  # </s> first
    }
    targets = target.expand(len(sources), -1)
    if next(model.parameters()).is_cuda:
        net_input, targets = utils.move_to_cuda(net_input), targets.cuda()
    return net_input, targets
