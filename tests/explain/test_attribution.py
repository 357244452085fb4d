"""Gradients against finite differences, and tokens left out against plain calls of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from s2s_plugin.explain.attribution import attribute, gradient_times_input, leave_one_out
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator

MODELS = {
    "trained": {},
    "pyramid": {"encoder_layers": 2, "encoder_pyramid": 1, "attention": "additive"},
    "factors": {"encoder_factors": 1},
    "pointer": {"pointer": True, "decoder_type": "luong", "coverage": "gated"},
    "shared": {"share_all_embeddings": True, "attention": "multi_head"},
    "adaptive": {"adaptive_cutoffs": "10", "decoder_type": "bahdanau"},
    "none": {"attention": "none"},
}
EPSILON = 5e-3  # a pointer generator computes in single precision


@pytest.fixture(params=MODELS)
def asked(request, small_model: Path) -> tuple[Translator, Tensor, Tensor]:
    """A model, trained or not, in double precision, a source and an output."""
    run = RunDir(small_model / "runs/nmt/default")
    translator = Translator(run.best_checkpoint(), OmegaConf.create({"beam": 2}), data=run.data)
    if options := MODELS[request.param]:
        cfg = OmegaConf.merge(OmegaConf.load(run.config).model, options)
        torch.manual_seed(1)
        translator.models = [translator.task.build_model(cfg)]
        for parameter in translator.models[0].parameters():  # as a trained one depends on its source
            parameter.data.mul_(3)
    translator.models = [translator.models[0].double()]
    source = translator.source_ids("a b c d e f g")
    target = translator.task.target_dictionary.encode_line("▁F ▁C ▁B").long()
    return translator, source, target


def plain_log_probs(translator: Translator, source: Tensor, target: Tensor) -> Tensor:
    """Return log P of each token by a call of the model; T."""
    model = translator.models[0].eval()
    previous = torch.cat((target[-1:], target[:-1])).unsqueeze(0)
    with torch.no_grad():
        logits, _ = model(source.unsqueeze(0), torch.tensor([len(source)]), previous)
    return logits[0].log_softmax(-1).gather(1, target.unsqueeze(1)).squeeze(1)


def scaled_log_probs(translator: Translator, source: Tensor, target: Tensor, factors: Tensor) -> Tensor:
    """Return log P of each token where the source's embeddings, S x ..., are multiplied by S factors."""
    encoder = translator.models[0].encoder
    calls: list[int] = []

    def scale(_module, _args, output: Tensor) -> Tensor | None:
        calls.append(1)
        return output * factors.view(1, -1, 1, 1) if len(calls) == 1 else None

    hook = encoder.embedding.register_forward_hook(scale)
    try:
        return plain_log_probs(translator, source, target)
    finally:
        hook.remove()


def test_gradients_are_finite_differences(asked):
    """Each column is the derivative by a factor of that step's embeddings, so a row's sum is that by one of all."""
    translator, source, target = asked
    encoder = translator.models[0].encoder
    products = gradient_times_input(translator, source, target)
    groups, joined = -(-len(source) // encoder.group), encoder.stride // encoder.group
    assert products.shape == (len(target), -(-groups // joined))
    steps = torch.arange(groups) // joined
    for chosen, expected in [
        (torch.ones(groups), products.sum(1)),
        *((steps.eq(step).double(), products[:, step]) for step in range(products.size(1))),
    ]:
        above, below = (scaled_log_probs(translator, source, target, 1 + sign * EPSILON * chosen) for sign in (1, -1))
        measured = (above - below) / (2 * EPSILON)
        torch.testing.assert_close(expected, measured, rtol=2e-3, atol=1e-4, check_dtype=False)


def test_what_is_left_out_is_scored_plainly(asked):
    translator, source, target = asked
    stride = translator.models[0].encoder.stride
    lost = leave_one_out(translator, source, target)
    whole = plain_log_probs(translator, source, target)
    led = attribute(translator, source, target).log_probs
    torch.testing.assert_close(led, whole, atol=1e-5, rtol=0, check_dtype=False)
    end = len(source) - 1
    for step, start in enumerate(range(0, end, stride)):
        shorter = torch.cat((source[:start], source[min(start + stride, end) :]))
        expected = whole - plain_log_probs(translator, shorter, target)
        torch.testing.assert_close(lost[:, step], expected, atol=2e-5, rtol=0, check_dtype=False)
    alone = end % stride == 0  # </s> is a step of its own
    assert lost.isnan().sum() == len(target) * alone and lost.size(1) == end // stride + 1
    assert lost.nan_to_num().abs().max() > 1e-3


def test_weights_are_those_of_the_model(asked):
    translator, source, target = asked
    weights = attribute(translator, source, target).attention
    assert (weights is not None) == translator.attends
    if weights is not None:
        torch.testing.assert_close(weights.sum(1), torch.ones(len(target)), check_dtype=False)
