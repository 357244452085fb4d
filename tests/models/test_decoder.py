"""The decoder: against plain loops in float64, unrolled by hand, and through fairseq's protocol."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.testing import assert_close

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqConfig
from s2s_plugin.stages.prepare.lengths import batch_floats

LAYERS = pytest.mark.parametrize("layers", [1, 2, 3])


def reference_decode(decoder, embedded, values, lengths, final):
    """Luong et al. 2015 with plain loops over torch.nn.LSTMCell: features and attention, B x T x ..."""
    width, cells = decoder.combine.out_features, []
    for ours in decoder.cells:
        below, recurrent = ours.recurrent_proj.weight[:, :width], ours.recurrent_proj.weight[:, width:]
        if ours.input_proj is not None:  # layer 1: [embedding; feed]
            below = torch.cat((ours.input_proj.weight, below), 1)
        cell = nn.LSTMCell(below.size(1), width).double()
        cell.weight_ih.data, cell.weight_hh.data = below.data, recurrent.data
        cell.bias_ih.data = ours.recurrent_proj.bias.data
        cell.bias_hh.data.zero_()
        cells.append(cell)
    features, attention = (
        torch.zeros(*embedded.shape[:2], width),
        torch.zeros(*embedded.shape[:2], values.size(1)),
    )
    features, attention = features.double(), attention.double()
    for b in range(len(embedded)):
        start = torch.tanh(decoder.bridge.project.weight @ final[b] + decoder.bridge.project.bias)
        hidden = [start[2 * i * width : (2 * i + 1) * width] for i in range(len(cells))]
        memory = [start[(2 * i + 1) * width : (2 * i + 2) * width] for i in range(len(cells))]
        feed = torch.zeros(width).double()
        for t in range(embedded.size(1)):
            below = torch.cat((embedded[b, t], feed))
            for i, cell in enumerate(cells):
                hidden[i], memory[i] = (x[0] for x in cell(below[None], (hidden[i][None], memory[i][None])))
                below = hidden[i]
            scores = [below @ decoder.attention.key.weight @ values[b, s] for s in range(lengths[b])]
            total = sum(torch.exp(score) for score in scores)
            context = torch.zeros(values.size(2)).double()
            for s, score in enumerate(scores):
                attention[b, t, s] = torch.exp(score) / total
                context = context + attention[b, t, s] * values[b, s]
            feed = torch.tanh(decoder.combine.weight @ torch.cat((context, below)))
            features[b, t] = feed
    return features, attention


@LAYERS
@torch.no_grad()
def test_equals_a_hand_written_recurrence(build, batch, layers):
    model = build(decoder_layers=layers).double()
    source, lengths, previous = batch(model, [3, 6, 1], 5)
    memory = model.encode(source, lengths)
    embedded = nn.functional.embedding(previous, model.decoder.embedding.table.weight)
    features, attention = reference_decode(
        model.decoder.rnn, embedded, memory.values, lengths.tolist(), memory.final[:, -1, 0]
    )
    ours, ours_attention = model.decoder.rnn(embedded, memory)
    assert_close(ours, features, rtol=0, atol=1e-12)
    assert_close(ours_attention, attention, rtol=0, atol=1e-12)

    logits, extra = model(source, lengths, previous)
    generator = model.decoder.generator
    by_hand = generator.output(features @ generator.project[0].weight.T + generator.project[0].bias)
    assert_close(logits, by_hand, rtol=0, atol=1e-12)
    assert_close(extra["attn"][0], attention, rtol=0, atol=1e-12)


@LAYERS
@torch.no_grad()
def test_steps_by_hand_equal_teacher_forcing(build, batch, layers):
    model = build(decoder_layers=layers)
    source, lengths, previous = batch(model, [4, 7, 2], 6)
    logits, extra = model(source, lengths, previous)
    rnn = model.decoder.rnn
    memory = model.encode(source, lengths)
    state = rnn.initial_state(memory)
    for t in range(previous.size(1)):
        state, features, weights = rnn.step(model.decoder.embedding(previous[:, t]), state, memory)
        assert_close(model.decoder.generator(features, weights, memory), logits[:, t], rtol=0, atol=1e-5)
        assert_close(weights, extra["attn"][0][:, t], rtol=0, atol=1e-5)
        assert_close(state.feed, features)


@torch.no_grad()
def test_later_symbols_do_not_change_earlier_scores(build, batch):
    model = build()
    source, lengths, previous = batch(model, [4, 7], 6)
    logits, _ = model(source, lengths, previous)
    changed = previous.clone()
    changed[:, 3] = torch.where(previous[:, 3] == 5, 6, 5)
    other, _ = model(source, lengths, changed)
    assert torch.equal(logits[:, :3], other[:, :3])
    assert (logits[:, 3:] - other[:, 3:]).abs().amax((0, 2)).min() > 1e-5  # all of the future depends on it


@torch.no_grad()
def test_input_feeding_carries_the_attention(build, batch):
    """States that differ in the feed alone give different next steps."""
    model = build()
    memory = model.encode(*batch(model, [4], 1)[:2])
    rnn, embedded = model.decoder.rnn, torch.zeros(1, 5)
    first, _, _ = rnn.step(embedded, rnn.initial_state(memory), memory)
    without = first._replace(feed=torch.zeros_like(first.feed))
    _, fed, _ = rnn.step(embedded, first, memory)
    _, unfed, _ = rnn.step(embedded, without, memory)
    assert (fed - unfed).abs().max() > 1e-4


@LAYERS
@torch.no_grad()
def test_k_rows_an_item_equal_a_repeated_memory(build, batch, layers):
    model = build(decoder_layers=layers)
    source, lengths, _previous = batch(model, [4, 7, 2], 3)
    memory, rnn = model.encode(source, lengths), model.decoder.rnn
    spread = torch.arange(3).repeat_interleave(4)
    repeated, state = memory.reorder(spread), rnn.initial_state(memory).reorder(spread)
    other = rnn.initial_state(repeated)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        embedded = model.decoder.embedding(torch.randint(4, 11, (12,), generator=generator))
        state, features, weights = rnn.step(embedded, state, memory)
        other, expected, expected_weights = rnn.step(embedded, other, repeated)
        assert_close(features, expected, rtol=0, atol=1e-5)
        assert_close(weights, expected_weights, rtol=0, atol=1e-5)
        assert_close(tuple(state), tuple(other), rtol=0, atol=1e-5)


@LAYERS
@torch.no_grad()
def test_fairseq_protocol_equals_the_full_pass(build, batch, layers):
    """Incrementally, with the rows moved and repeated between steps as a beam search does."""
    model = build(decoder_layers=layers)
    source, lengths, previous = batch(model, [4, 7, 2, 5], 6)
    generator = torch.Generator().manual_seed(layers)
    memory = model.encoder.forward_torchscript({"src_tokens": source, "src_lengths": lengths})
    tokens, state = previous[:, :1], {}
    for t in range(6):
        logits, extra = model.decoder(tokens, encoder_out=memory, incremental_state=state)
        expected, expected_extra = model(source, lengths, tokens)
        full, _ = model.decoder(tokens, encoder_out=memory)
        assert logits.shape == (4, 1, 11)
        assert_close(logits[:, 0], expected[:, -1], rtol=0, atol=1e-5)
        assert_close(full, expected, rtol=0, atol=1e-5)
        assert_close(extra["attn"][0][:, 0], expected_extra["attn"][0][:, -1], rtol=0, atol=1e-5)
        order = torch.randint(0, 4, (4,), generator=generator)
        model.decoder.reorder_incremental_state_scripting(state, order)
        memory = model.encoder.reorder_encoder_out(memory, order)
        source, lengths, tokens = source[order], lengths[order], tokens[order]
        tokens = torch.cat((tokens, previous[:, t : t + 1]), 1)


@LAYERS
@torch.no_grad()
def test_dropout_is_between_layers_and_on_the_features(build, batch, layers):
    model = build(decoder_layers=layers, dropout=0.5).train()
    source, lengths, previous = batch(model, [4, 7], 3)
    memory, seen = model.encode(source, lengths), []
    model.decoder.rnn.dropout.register_forward_hook(lambda module, inputs, output: seen.append(output))
    features, _ = model.decoder.rnn(model.decoder.embedding(previous), memory)
    assert len(seen) == 3 * layers
    assert all(torch.equal(features[:, t], seen[(t + 1) * layers - 1]) for t in range(3))
    assert 0 < features.eq(0).float().mean() < 1


@torch.no_grad()
def test_the_model_keeps_no_state_between_calls(build, batch):
    model = build()
    first, second = batch(model, [4, 7], 3), batch(model, [2, 3], 5, seed=1)
    before, attributes = model(*first)[0], {name: set(vars(m)) for name, m in model.named_modules()}
    model(*second)
    assert torch.equal(model(*first)[0], before)
    assert {name: set(vars(m)) for name, m in model.named_modules()} == attributes


@torch.no_grad()
def test_reorder_leaves_the_old_memory_alone(build, batch):
    model = build()
    memory = model.encoder(*batch(model, [4, 7, 2], 1)[:2])
    copy = [field.clone() for field in memory if field is not None]
    moved = model.encoder.reorder_encoder_out(memory, torch.tensor([2, 0, 0, 1]))
    moved.values.zero_()
    assert all(torch.equal(a, b) for a, b in zip(memory[:3], copy, strict=True))
    assert torch.equal(moved.padding_mask, memory.padding_mask[[2, 0, 0, 1]])
    assert moved.keys is None


@pytest.mark.parametrize("options", [{}, {"pointer": True}, {"attention": "additive"}, {"coverage": "sum"}], ids=str)
def test_memory_of_a_training_step_is_about_as_foretold(build, batch, options: dict):
    """What is kept for the gradients is at least a quarter of that, and no more."""
    sizes = {"encoder_hidden_size": 64, "decoder_hidden_size": 64, "attention": "normalized", "attention_size": 32}
    if not options.get("coverage"):
        sizes["attention"] = "general"
    model = build(500, 500, joint=True, max_source_positions=300, max_target_positions=300, **(sizes | options)).train()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(*batch(model, [200, 200], 200))
        loss = model.get_normalized_probs(output, log_probs=True).sum()
    config = OmegaConf.create({**vars(Seq2SeqConfig()), **sizes, **options})
    assert loss.requires_grad
    assert 0.25 < sum(kept.values()) / (4 * batch_floats(config, 500, 2, 200, 200)) < 1


@torch.no_grad()
def test_syntactic_decoder_by_hand(build, batch):
    """Russin et al. 2019 with plain loops: the recurrence reads contexts, the features are meanings alone."""
    model = build(decoder_type="syntactic").double()
    source, lengths, previous = batch(model, [3, 6, 1], 5)
    memory, decoder = model.encode(source, lengths), model.decoder.rnn
    embedded = model.decoder.embedding(previous)
    features, attention = decoder(embedded, memory)
    cell, width = nn.LSTMCell(8, 7).double(), 8
    weight = decoder.cells[0].recurrent_proj.weight
    cell.weight_ih.data, cell.weight_hh.data = weight[:, :width], weight[:, width:]
    cell.bias_ih.data = decoder.cells[0].recurrent_proj.bias.data
    cell.bias_hh.data.zero_()
    meanings = model.encoder.meanings.table.weight
    for b, length in enumerate(lengths.tolist()):
        state, context = tuple(decoder.bridge(memory)[b, 0, :, None].unbind(0)), torch.zeros(1, width).double()
        for t in range(5):
            state = cell(context, state)
            scores = [state[0][0] @ decoder.attention.key.weight @ memory.values[b, s] for s in range(length)]
            weights = torch.stack(scores).softmax(0)
            context = (weights @ memory.values[b, :length])[None]
            assert_close(features[b, t], weights @ meanings[source[b, :length]], rtol=0, atol=1e-12)
            assert_close(attention[b, t, :length], weights, rtol=0, atol=1e-12)


def test_syntactic_decoder_does_not_read_its_output(build, batch):
    model = build(decoder_type="syntactic")
    source, lengths, previous = batch(model, [4, 2], 6)
    logits, _ = model(source, lengths, previous)
    other, _ = model(source, lengths, previous.flip(1))
    assert_close(logits, other, rtol=0, atol=0)
    logits.sum().backward()
    assert model.encoder.embedding.table.weight.grad is not None


@pytest.mark.parametrize(
    "options, message",
    [({"attention": "none"}, "requires attention, got none"),
     ({"encoder_layers": 2, "encoder_pyramid": 1}, "requires encoder_pyramid=0, got 1")],
)  # fmt: skip
def test_what_the_syntactic_decoder_requires(build, options, message):
    with pytest.raises(UserError, match=f"model.decoder_type=syntactic {message}"):
        build(decoder_type="syntactic", **options)
