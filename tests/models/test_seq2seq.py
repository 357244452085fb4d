"""The whole model: independence of the batch, shared embeddings, and messages about bad options."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from s2s_plugin.errors import UserError


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_a_sentence_does_not_depend_on_its_batch(build, batch, layers):
    model = build(encoder_layers=layers, decoder_layers=layers)
    source, lengths, previous = batch(model, [4, 9, 1, 7], 6)
    pad = model.encoder.dictionary.pad()
    target_lengths = [6, 2, 4, 1]
    for row, length in enumerate(target_lengths):
        previous[row, length:] = pad
    target = torch.randint(4, 11, previous.shape)
    logits, extra = model(functional.pad(source, (0, 3), value=pad), lengths, previous)
    for row, (length, target_length) in enumerate(zip(lengths.tolist(), target_lengths, strict=True)):
        alone, alone_extra = model(
            source[row : row + 1, :length], lengths[row : row + 1], previous[row : row + 1, :target_length]
        )
        here = logits[row, :target_length]
        gold = target[row, :target_length]
        assert_close(here, alone[0], rtol=0, atol=1e-5)
        assert_close(functional.cross_entropy(here, gold), functional.cross_entropy(alone[0], gold), rtol=0, atol=1e-6)
        weights = extra["attn"][0][row, :target_length]
        assert_close(weights[:, :length], alone_extra["attn"][0][0], rtol=0, atol=1e-6)
        assert weights[:, length:].eq(0).all()
        assert_close(weights.sum(1), torch.ones(target_length))


def test_gradients_do_not_depend_on_padding(build, batch):
    gradients = []
    for extra in (0, 4):
        model = build()
        source, lengths, previous = batch(model, [4, 9, 2], 5)
        source = functional.pad(source, (0, extra), value=model.encoder.dictionary.pad())
        logits, _ = model(source, lengths, previous)
        logits.log_softmax(-1)[..., 4].sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert all(gradient is not None for gradient in gradients[-1].values())
        assert gradients[-1]["encoder.embedding.table.weight"][model.encoder.dictionary.pad()].eq(0).all()
    for name, gradient in gradients[0].items():
        assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_dropout_is_off_in_evaluation_and_on_in_training(build, batch):
    model = build(dropout=0.5)
    inputs = batch(model, [4, 6], 5)
    with torch.no_grad():
        assert torch.equal(model(*inputs)[0], model(*inputs)[0])
        model.train()
        assert not torch.equal(model(*inputs)[0], model(*inputs)[0])


# ----------------------------------------------------------------- sharing


def tables(model) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    decoder = model.decoder
    return (
        model.encoder.embedding.table.weight,
        decoder.embedding.table.weight,
        decoder.generator.output.weight,
    )


def test_share_all_embeddings(build, batch):
    model = build(joint=True, share_all_embeddings=True, decoder_embed_dim=6)
    source, target, output = tables(model)
    assert source is target is output
    logits, _ = model(*batch(model, [3, 5], 4))
    logits.sum().backward()
    assert model.decoder.generator.output.weight.grad is model.encoder.embedding.table.weight.grad
    names = [name for name, _ in model.named_parameters()]
    assert sum("table" in name or name.endswith("output.weight") for name in names) == 1


def test_share_decoder_input_output_embed(build):
    source, target, output = tables(build(share_decoder_input_output_embed=True))
    assert target is output
    assert source is not target


def test_nothing_is_shared_by_default(build):
    source, target, output = tables(build(joint=True, decoder_embed_dim=6))
    assert len({source.data_ptr(), target.data_ptr(), output.data_ptr()}) == 3


def test_shared_tables_survive_a_checkpoint(build, batch, tmp_path):
    options = {"joint": True, "share_all_embeddings": True, "decoder_embed_dim": 6}
    model, other = build(**options), build(**options, seed=1)
    inputs = batch(model, [3, 5], 4)
    assert not torch.equal(model(*inputs)[0], other(*inputs)[0])
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(model(*inputs)[0], other(*inputs)[0])
    source, target, output = tables(other)
    assert source is target is output


def test_padding_row_is_zero(build):
    for options in ({}, {"share_all_embeddings": True, "decoder_embed_dim": 6, "joint": True}):
        model = build(**options)
        for embedding in (model.encoder.embedding, model.decoder.embedding):
            assert embedding.table.weight[1].eq(0).all()
            assert embedding.table.weight[0].ne(0).any()


# ----------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder_hidden_size": 9}, ["encoder_hidden_size must be even", "got 9"]),
        ({"decoder_layers": 0}, ["decoder_layers must be at least 1, got 0"]),
        ({"encoder_layers": -1}, ["encoder_layers must be at least 1, got -1"]),
        ({"encoder_embed_dim": 0}, ["encoder_embed_dim must be at least 1, got 0"]),
        ({"decoder_hidden_size": 0}, ["decoder_hidden_size must be at least 1, got 0"]),
        ({"dropout": 1.0}, ["dropout must be in [0, 1), got 1.0"]),
        ({"dropout": -0.1}, ["dropout must be in [0, 1), got -0.1"]),
        ({"dropout": float("nan")}, ["dropout must be in [0, 1), got nan"]),
        ({"share_all_embeddings": True, "decoder_embed_dim": 6}, ["share_all_embeddings", "joint"]),
        ({"share_all_embeddings": True, "joint": True}, ["requires equal", "got 6 and 5"]),
        (
            {"share_all_embeddings": True, "joint": True, "decoder_embed_dim": 6, "decoder_embed_path": "vectors.txt"},
            ["decoder_embed_path", "model.encoder_embed_path"],
        ),
        ({"attention": "dot"}, ["attention=dot requires equal", "got 8 and 7"]),
        ({"attention": "multi_head", "encoder_hidden_size": 6}, ["multiple of 4, got 6"]),
        (
            {"encoder_layers": 2, "encoder_pyramid": 2},
            ["encoder_pyramid must be in [0, model.encoder_layers=2), got 2"],
        ),
        ({"encoder_reversed": True}, ["encoder_reversed requires encoder_bidirectional=none or first, got all"]),
        ({"pointer": True, "attention": "none"}, ["pointer requires attention"]),
        ({"coverage": "sum", "attention": "none"}, ["coverage=sum and model.attention=none are mutually exclusive"]),
        ({"coverage": "sum", "attention": "location"}, ["coverage=sum and model.attention=location are mutually"]),
        ({"adaptive_cutoffs": "5,4"}, ["adaptive_cutoffs must be increasing numbers in (0, 11)", "got '5,4'"]),
        ({"adaptive_cutoffs": "5", "pointer": True}, ["adaptive_cutoffs and model.pointer are mutually exclusive"]),
    ],
)
def test_refuses_in_one_line_that_names_the_value(build, options, words):
    with pytest.raises(UserError) as error:
        build(**options)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("decoder", ["luong", "bahdanau", "gnmt"])
def test_every_decoder_works_without_attention(build, batch, decoder: str, cell: str):
    model = build(decoder_type=decoder, decoder_cell=cell, attention="none")
    assert model(*batch(model, [3, 2], 4))[0].shape == (2, 4, 11)


def test_odd_width_is_fine_in_one_direction(build, batch):
    model = build(encoder_hidden_size=9, encoder_bidirectional="none")
    assert model(*batch(model, [3, 2], 4))[0].shape == (2, 4, 11)


def test_refuses_same_sized_but_different_dictionaries(build):
    with pytest.raises(UserError, match="joint"):
        build(source=11, target=11, share_all_embeddings=True, decoder_embed_dim=6)
