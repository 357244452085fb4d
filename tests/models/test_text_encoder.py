"""The encoder: padding changes nothing, and the summary is what it says it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

KINDS = pytest.mark.parametrize(("layers", "unidirectional"), [(1, False), (2, False), (1, True), (3, True)])


@KINDS
@torch.no_grad()
def test_an_item_in_a_batch_equals_the_item_alone(build, batch, layers, unidirectional):
    model = build(encoder_layers=layers, encoder_bidirectional="none" if unidirectional else "all")
    source, lengths, _ = batch(model, [4, 9, 1, 7], 1)
    source = nn.functional.pad(source, (0, 3), value=model.encoder.dictionary.pad())
    memory = model.encoder(source, lengths)
    assert memory.values.shape == (4, 12, model.encoder.value_size)
    assert memory.final.shape == (4, *model.encoder.final_shape)
    for row, length in enumerate(lengths.tolist()):
        alone = model.encoder(source[row : row + 1, :length], lengths[row : row + 1])
        assert_close(memory.values[row, :length], alone.values[0], rtol=0, atol=1e-6)
        assert_close(memory.final[row], alone.final[0], rtol=0, atol=1e-6)
        assert memory.padding_mask[row].tolist() == [False] * length + [True] * (12 - length)
        assert not alone.padding_mask.any()


@KINDS
@torch.no_grad()
def test_final_is_the_last_state_of_each_direction(build, batch, layers, unidirectional):
    model = build(encoder_layers=layers, encoder_bidirectional="none" if unidirectional else "all")
    source, lengths, _ = batch(model, [4, 9, 1], 1)
    memory = model.encoder(source, lengths)
    half = 8 if unidirectional else 4
    for row, length in enumerate(lengths.tolist()):
        assert_close(memory.final[row, -1, 0, :half], memory.values[row, length - 1, :half])
        if not unidirectional:
            assert_close(memory.final[row, -1, 0, half:], memory.values[row, 0, half:])


@torch.no_grad()
def test_equals_two_hand_run_cells(build, batch):
    model = build().double()
    source, lengths, _ = batch(model, [5], 1)
    memory = model.encoder(source, lengths)
    embedded = model.encoder.embedding.table.weight[source[0]]
    hidden = []
    for lstm, order in zip(model.encoder.stack.layers[0].directions, (range(5), reversed(range(5))), strict=True):
        cell = nn.LSTMCell(6, 4).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(lstm, f"{name}_l0").data
        h = c = torch.zeros(1, 4).double()
        column = [None] * 5
        for position in order:
            h, c = cell(embedded[position : position + 1], (h, c))
            column[position] = h[0]
        hidden.append(torch.stack(column))
    assert_close(memory.values[0], torch.cat(hidden, 1), rtol=0, atol=1e-12)
    assert_close(memory.final[0, -1, 0], torch.cat((hidden[0][-1], hidden[1][0])), rtol=0, atol=1e-12)


@torch.no_grad()
def test_unidirectional_does_not_look_ahead(build, batch):
    for unidirectional in (True, False):
        model = build(encoder_bidirectional="none" if unidirectional else "all")
        source, lengths, _ = batch(model, [6], 1)
        before = model.encoder(source, lengths).values[0, 0]
        source[0, 4] = 5 if source[0, 4] != 5 else 6
        assert torch.equal(model.encoder(source, lengths).values[0, 0], before) is unidirectional


@torch.no_grad()
def test_a_reversed_encoder_reads_the_last_token_first_and_keeps_the_order_of_its_memory(build, batch):
    options = {"encoder_bidirectional": "none", "encoder_layers": 2}
    plain, model = build(**options), build(**options, encoder_reversed=True)
    model.load_state_dict(plain.state_dict())
    source, lengths, _ = batch(plain, [6, 3], 1)
    backwards = torch.stack([torch.cat((row[:n].flip(0), row[n:])) for row, n in zip(source, lengths, strict=True)])
    memory, expected = model.encoder(source, lengths), plain.encoder(backwards, lengths)
    assert torch.equal(memory.padding_mask, expected.padding_mask)
    assert torch.equal(memory.final, expected.final)
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(memory.values[row, :length], expected.values[row, :length].flip(0))


@torch.no_grad()
def test_factors_are_added_to_their_token(build, batch):
    """x_1 f_1 g_1 x_2 f_2 g_2 </s> is three steps of memory, whatever the rest of the batch."""
    model, plain = build(encoder_factors=2), build()
    table = model.encoder.embedding.table.weight
    source = torch.tensor([[5, 7, 9, 6, 8, 9, 2], [10, 11, 12, 2, 1, 1, 1]])
    memory = model.encoder(source, torch.tensor([7, 4]))
    assert memory.padding_mask.tolist() == [[False] * 3, [False, False, True]]
    steps = torch.stack((table[[5, 7, 9]].sum(0), table[[6, 8, 9]].sum(0), table[2]))
    assert_close(memory.values[:1], plain.encoder.stack(steps.unsqueeze(0), torch.tensor([3])).values)
    alone = model.encoder(source[1:, :4], torch.tensor([4]))
    assert_close(memory.values[1:, :2], alone.values)
    assert_close(memory.final[1:], alone.final)


def test_a_pointer_copies_tokens_not_factors(build):
    model = build(encoder_factors=1, pointer=True, joint=True)
    assert model.encoder(torch.tensor([[5, 7, 6, 8, 2]]), torch.tensor([5])).copy_ids.tolist() == [[5, 6, 2]]
