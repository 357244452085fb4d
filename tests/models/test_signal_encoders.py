"""Speech, video and image encoders: shapes, lengths, and that neither padding nor the batch changes a memory."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2s_plugin.errors import UserError
from s2s_plugin.models.encoders.cnn import ConvStack, ResidualBlock, num_groups
from s2s_plugin.models.encoders.rnn import RecurrentStack, concat_frame_pairs
from s2s_plugin.models.encoders.speech import Subsampling
from s2s_plugin.models.encoders.video import with_neighbors
from s2s_plugin.models.layers.cells import LAYERS
from s2s_plugin.models.layers.dropout import Dropout
from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel

from .conftest import dictionary_of

SHAPES = {"audio": (20,), "video": (16, 32), "image": (32, 3)}
OPTIONS = {
    "encoder_embed_dim": 6,
    "encoder_hidden_size": 8,
    "encoder_channels": 4,
    "decoder_embed_dim": 5,
    "decoder_hidden_size": 7,
    "dropout": 0.0,
    "max_source_positions": 100,
    "max_target_positions": 100,
}


class Signal:
    """The part of a task that a model needs."""

    source_dictionary = None
    target_dictionary = dictionary_of(11)

    def __init__(self, modality: str):
        self.modality, self.source_shape = modality, SHAPES[modality]


def build(modality: str, **options) -> Seq2SeqModel:
    torch.manual_seed(0)
    return Seq2SeqModel.build_model(Seq2SeqConfig(**(OPTIONS | options)), Signal(modality)).eval()


def padded(sources: list[torch.Tensor], extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(source) for source in sources])
    batch = torch.zeros(len(sources), int(lengths.max()) + extra, *sources[0].shape[1:])
    for row, source in zip(batch, sources, strict=True):
        row[: len(source)] = source
    return batch, lengths


STACKS = [{"encoder_layers": 1}, {"encoder_layers": 3, "encoder_pyramid": 2}]


@pytest.mark.parametrize("modality", ["audio", "video"])
@pytest.mark.parametrize("stack", STACKS, ids=["plain", "pyramid"])
@pytest.mark.parametrize("extra", [0, 1, 2, 3, 5, 8])
@torch.no_grad()
def test_padding_and_the_batch_change_nothing(modality, stack, extra):
    model = build(modality, **stack)
    sources = [torch.randn(length, *SHAPES[modality]) for length in (23, 9, 16, 1)]
    together = model.encode(*padded(sources, extra))
    for row, source in enumerate(sources):
        alone = model.encode(*padded([source]))
        steps = int((~together.padding_mask[row]).sum())
        assert steps == alone.values.size(1) == -(-len(source) // model.encoder.stride)
        assert together.values[row, :steps] == pytest.approx(alone.values[0], abs=1e-5)
        assert together.final[row] == pytest.approx(alone.final[0], abs=1e-5)


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_batch():
    model = build("image")
    images = torch.randn(5, 32, 32, 3)
    lengths = torch.full((5,), 32)
    together = model.encode(images, lengths)
    assert together.values.shape == (5, 16, 8)
    assert model.encoder.cnn.grid(images.shape[1:]) == [4, 4]
    assert not together.padding_mask.any()
    for row in range(5):
        alone = model.encode(images[row : row + 1], lengths[:1])
        assert together.values[row] == pytest.approx(alone.values[0], abs=1e-5)


@pytest.mark.parametrize("region", [0, 3, 6, 15])
def test_a_region_of_the_memory_is_a_region_of_the_picture(region):
    """A memory step depends most on the pixels where the grid says it is."""
    model = build("image", encoder_channels=16)
    image = torch.randn(1, 32, 32, 3, requires_grad=True)
    model.encode(image, torch.tensor([32])).values[0, region].sum().backward()
    blocks = image.grad[0].square().sum(-1).unflatten(0, (4, 8)).unflatten(2, (4, 8)).sum((1, 3))
    assert region in blocks.flatten().topk(4).indices  # its neighbors' convolutions overlap


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@torch.no_grad()
def test_subsampling_equals_torchs_convolutions_of_one_item(layers):
    subsampling = Subsampling(13, 4, layers)
    frames = torch.randn(1, 29, 13)
    outputs, lengths = subsampling(frames, torch.tensor([29]))
    maps = frames.unsqueeze(1)
    for convolution in subsampling.convolutions:
        maps = torch.conv2d(maps, convolution.weight, convolution.bias, stride=2, padding=1).relu()
    expected = maps.permute(0, 2, 1, 3).flatten(2) if layers else frames
    assert outputs == pytest.approx(expected, abs=1e-6)
    assert lengths.tolist() == [outputs.size(1)] == [-(-29 // 2**layers)]
    assert outputs.size(2) == subsampling.output_size


def test_pairs_put_each_step_beside_the_next():
    steps = torch.arange(10.0).view(1, 5, 2)
    assert concat_frame_pairs(steps).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]]


@torch.no_grad()
def test_first_convolution_over_neighbors_is_one_over_time():
    """Five frames as channels are a 3-D convolution of depth five."""
    frames = torch.randn(2, 9, 6, 8)
    weight = torch.randn(3, 5, 3, 3)
    clips = with_neighbors(frames)
    assert clips.shape == (2, 9, 5, 6, 8)
    outputs = torch.conv2d(clips.flatten(0, 1), weight, padding=1).view(2, 9, 3, 6, 8)
    expected = torch.conv3d(frames.unsqueeze(1), weight.unsqueeze(1), padding=(2, 1, 1)).transpose(1, 2)
    assert outputs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("keep_cells", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", LAYERS)
@torch.no_grad()
def test_stack_equals_torchs_packed_recurrence(cell: str, layers: int, keep_cells: bool):
    """torch's own bidirectional layers over packed sequences, with the same weights."""
    stack = RecurrentStack(5, 6, layers, layers, Dropout(0.0), cell=cell, keep_cells=keep_cells).eval()
    reference = LAYERS[cell](5, 3, layers, batch_first=True, bidirectional=True)
    for number, layer in enumerate(stack.layers):
        for suffix, direction in zip(("", "_reverse"), layer.directions, strict=True):
            for name, parameter in direction.named_parameters():
                getattr(reference, name.replace("l0", f"l{number}{suffix}")).data = parameter.data
    inputs, lengths = torch.randn(4, 9, 5), torch.tensor([9, 1, 4, 7])
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    outputs, states = reference(packed)
    expected, _ = pad_packed_sequence(outputs, batch_first=True)
    memory = stack(inputs, lengths)
    assert memory.values == pytest.approx(expected, abs=1e-6)
    kept = states if keep_cells and cell == "lstm" else states[:1] if cell == "lstm" else [states]
    finals = [state.view(layers, 2, 4, 3).permute(2, 0, 1, 3).flatten(2) for state in kept]  # B x L x 6
    assert memory.final == pytest.approx(torch.stack(finals, 2), abs=1e-6)
    assert memory.final.shape[1:] == stack.final_shape
    for row in range(4):  # by itself, with all its padding
        assert stack(inputs[row : row + 1], lengths[row : row + 1]).final == pytest.approx(
            memory.final[row : row + 1], abs=1e-6
        )


@torch.no_grad()
def test_only_the_first_layers_read_both_ways():
    stack = RecurrentStack(5, 6, 3, 1, Dropout(0.0))
    assert [len(layer.directions) for layer in stack.layers] == [2, 1, 1]
    assert stack(torch.randn(2, 4, 5), torch.tensor([4, 2])).values.shape == (2, 4, 6)


@torch.no_grad()
def test_residual_and_normalised_layers():
    plain = RecurrentStack(6, 6, 2, 2, Dropout(0.0), residual=True)
    inputs, lengths = torch.randn(2, 4, 6), torch.tensor([4, 2])
    below = inputs + plain.layers[0](inputs, lengths)[0]
    below = below.masked_fill(plain(inputs, lengths).padding_mask.unsqueeze(2), 0)
    expected = below + plain.layers[1](below, lengths)[0]
    assert plain(inputs, lengths).values[0] == pytest.approx(expected[0], abs=1e-6)
    normed = RecurrentStack(6, 6, 2, 2, Dropout(0.0), layer_norm=True)(inputs, lengths).values
    assert normed[0].mean(1) == pytest.approx(torch.zeros(4), abs=1e-5)
    assert normed[1, 2:].eq(0).all()


@pytest.mark.parametrize("option", ["pointer", "share_all_embeddings"])
def test_what_requires_a_text_source_is_refused(option: str):
    with pytest.raises(UserError, match=rf"model\.{option} requires"):
        build("audio", **{option: True})


def test_a_block_begins_as_its_shortcut():
    block = ResidualBlock(4, 4, 1)
    maps = torch.randn(2, 4, 5, 5)
    assert block(maps).detach() == pytest.approx(maps.relu(), abs=1e-6)
    assert ConvStack(3, 8, 2)(torch.randn(2, 3, 32, 48)).shape == (2, 32, 4, 6)
    assert [num_groups(count) for count in (3, 8, 16, 32, 64, 128)] == [1, 1, 2, 4, 8, 8]


@pytest.mark.parametrize("attention", ["general", "additive", "location"])
@pytest.mark.parametrize("modality", ["audio", "video", "image"])
def test_everything_learns(modality, attention):
    """Every parameter gets a gradient, through every encoder, each attention and the CTC layer."""
    model = build(modality, attention=attention, ctc=True, encoder_layers=2, encoder_pyramid=1).train()
    sources = [torch.randn(length, *SHAPES[modality]) for length in ((32, 32) if modality == "image" else (21, 12))]
    if modality == "image":
        sources = [torch.randn(32, 32, 3) for _ in range(2)]
    logits, extra = model(*padded(sources), torch.randint(4, 11, (2, 5)))
    (logits.square().sum() + extra["ctc"].square().sum()).backward()
    without = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # A block's last norm begins at zero, and what is before it learns from the second update on.
    assert [name for name in without if ".first" not in name and ".second" not in name] == []
