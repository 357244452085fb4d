"""Cheaper products while searching: what they change, and what they must not."""

from __future__ import annotations

import copy
import json
import re

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.backends import mkldnn
from torch.testing import assert_close

from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.build import build_search
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.precision import ON_CPU, PRECISIONS, Int8Linear, cached_input_gates, convert
from s2s_plugin.tasks.config import search_options
from s2s_plugin.tasks.seq2seq import Seq2SeqTaskConfig
from tests.search.conftest import alone

SIZES = {"encoder_embed_dim": 64, "encoder_hidden_size": 128, "decoder_embed_dim": 64, "decoder_hidden_size": 128}
STYLES = ["luong", "bahdanau", "gnmt", "syntactic"]


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-6), ("bf16", 1e-2), ("int8", 1e-2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_in_each_precision(precision: str, error: float, bias: bool):
    torch.manual_seed(1)
    linear, x = nn.Linear(96, 300, bias=bias), torch.randn(3, 7, 96)
    with torch.no_grad():
        expected, found = linear(x), ON_CPU[precision](linear.weight, linear.bias)(x)
    assert found.dtype == torch.float32
    assert (found - expected).norm() <= error * expected.norm()


def test_int8_rounds_each_input_by_itself():
    """A large input beside a small one takes nothing from it, and 0 stays 0."""
    torch.manual_seed(1)
    linear = nn.Linear(96, 300)
    layer = Int8Linear(linear.weight, linear.bias)
    small, large = torch.randn(1, 96), 1000 * torch.randn(1, 96)
    assert torch.equal(layer(torch.cat((small, large)))[:1], layer(small))
    assert_close(layer(torch.zeros(2, 96)), layer.bias.expand(2, -1))


def test_int8_compiles_few_kernels(capfd):
    """Rows of a search change all the time, and each number of them would have a kernel of its own."""
    layer = Int8Linear(torch.randn(8, 24), None)
    with mkldnn.verbose(mkldnn.VERBOSE_ON_CREATION):
        for rows in range(1, 257):
            assert layer(torch.zeros(rows, 24)).shape == (rows, 8)
    created = re.findall(r"create:.*,(\d+)x24:24x8", capfd.readouterr().out)
    assert len(created) == 256
    assert len(set(created)) == 16 + 4 * 8


@pytest.mark.parametrize("bias", [True, False])
def test_int8_of_bounded_inputs(bias: bool):
    """Both ends of [-1, 1] are within, and zero is zero."""
    torch.manual_seed(1)
    linear, x = nn.Linear(96, 300, bias=bias), torch.randn(3, 7, 96).tanh()
    x[0, 0, :2] = torch.tensor([1.0, -1.0])
    x[1, 1] = 0
    layer = Int8Linear(linear.weight, linear.bias, bounded=True)
    with torch.no_grad():
        expected, found = linear(x), layer(x)
    assert (found - expected).norm() <= 1e-2 * expected.norm()
    assert_close(found[1, 1], expected[1, 1])


@pytest.mark.parametrize(
    ("options", "loops", "output"),
    [
        ({"decoder_output_dim": 128}, True, True),
        ({"decoder_output_dim": 96}, True, False),  # the generator's projection may give any number
        ({"decoder_output_dim": 128, "decoder_type": "bahdanau"}, False, True),  # a cell reads averages of values
        ({"decoder_output_dim": 128, "layer_norm": True}, False, False),
        ({"decoder_output_dim": 128, "residual": True}, False, False),
        ({"decoder_output_dim": 128, "decoder_readout": "linear"}, False, False),
        ({"decoder_output_dim": 128, "bridge": "copy"}, True, True),
        ({"decoder_output_dim": 128, "bridge": "copy", "encoder_hidden_size": 64}, False, False),  # a layer between
    ],
)
def test_which_products_are_bounded(build, options: dict, loops: bool, output: bool):
    model = build(300, seed=3, decoder_layers=2, **{**SIZES, **options})
    model = convert(model, "int8")
    rnn = model.decoder.rnn
    assert [cell.recurrent_proj.bounded for cell in rnn.cells] == [loops, loops]
    assert model.decoder.generator.output.bounded == output
    assert rnn.combine.bounded is False


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_hypotheses_of_each_precision(build, batch, style: str, precision: str):
    """fp32: those of the model as it was. Else: as good, by the model's own measure."""
    model, sample = build(300, seed=3, peak=1, decoder_type=style, decoder_layers=2, **SIZES), batch([4, 9, 2, 7])
    options, dictionary = BeamOptions(beam=4, max_len_b=12), model.decoder.dictionary
    plain = BeamSearch([model], dictionary, options).generate([model], sample)
    before = copy.deepcopy(model)
    search = build_search([model], dictionary, options, precision)
    found = search.generate([model], sample)
    assert ON_CPU[precision] in [type(module) for module in search.models[0].decoder.modules()]
    assert [type(module) for module in model.modules()] == [type(module) for module in before.modules()]
    for mine, other in zip(model.parameters(), before.parameters(), strict=True):
        assert mine.dtype == other.dtype and torch.equal(mine, other)
    for mine, other in zip(found, plain, strict=True):
        if precision == "fp32":
            assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in other]
        assert mine[0]["score"] == pytest.approx(other[0]["score"], abs=1e-4 if precision == "fp32" else 0.1)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sentence_does_not_depend_on_its_batch(build, batch, precision: str):
    model = build(300, seed=5, peak=1, **SIZES)
    search = build_search([model], model.decoder.dictionary, BeamOptions(beam=4, max_len_b=12), precision)
    sample = batch([4, 9, 2, 7])
    together = search.generate([model], sample)
    for row in range(4):
        (hypotheses,) = search.generate([model], alone(sample, row))
        assert [h["tokens"].tolist() for h in hypotheses] == [h["tokens"].tolist() for h in together[row]]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_encoder_does_not_depend_on_its_batch(build, batch, precision: str):
    """In bfloat16 it does, by the order of sums: int8 would make other outputs of that."""
    model, sample = build(300, seed=5, **SIZES), batch([4, 9, 2, 7])
    search = build_search([model], model.decoder.dictionary, BeamOptions(), precision)
    with torch.inference_mode():
        together, alone_ = (
            search._encode(each["net_input"]["src_tokens"], each["net_input"]["src_lengths"])[0].values
            for each in (sample, alone(sample, 3))
        )
    difference = (together[3, :7] - alone_[0]).abs().max()
    assert difference < (1e-2 if precision == "bf16" else 1e-6)
    assert (search.encoder_dtype == torch.bfloat16) == (precision == "bf16")


def test_shares_of_the_gates_are_those_of_the_embedding(build):
    model = build(300, seed=5, **SIZES).eval()
    shares, symbols = cached_input_gates(model), torch.tensor([5, 299, 17])
    assert shares is not None and shares.shape == (300, 512)
    with torch.no_grad():
        expected = model.decoder.rnn.cells[0].project_inputs(model.decoder.embedding(symbols))
    assert_close(shares[symbols], expected)


def test_what_is_asked_for_can_be_written_down():
    """As fairseq's training leaves the config, a choice is an Enum."""
    task = OmegaConf.structured(Seq2SeqTaskConfig(data="", search_precision="int8"))
    assert json.loads(json.dumps(search_options(task))) == {"search_precision": "int8"}
