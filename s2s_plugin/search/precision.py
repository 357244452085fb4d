"""Precision of the decoder's matrix products in the search, where most of a step's time goes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.errors import UserError
from s2s_plugin.models.bridge import CopyBridge
from s2s_plugin.models.decoders.base import READOUTS
from s2s_plugin.models.decoders.luong import LuongDecoder
from s2s_plugin.models.encoders.image import ImageEncoder
from s2s_plugin.models.generator import Generator
from s2s_plugin.models.seq2seq import Seq2SeqModel

MAX_CACHED_GATES = 2**24  # numbers
MIN_CONVERTED_WEIGHTS = 2**14  # below this size, converting the input costs more than it saves


class InferenceLinear(nn.Module):
    """A layer y = W x + b, W is O x I; ``bounded`` inputs lie in [-1, 1], which only int8 makes use of."""

    def __init__(self, weight: Tensor, bias: Tensor | None, bounded: bool = False):
        super().__init__()
        self.original, self.bounded = (weight.detach(), None if bias is None else bias.detach()), bounded
        self.pack(*self.original)

    def pack(self, weight: Tensor, bias: Tensor | None) -> None:
        """Lay out W and b for :meth:`forward`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ... x I to ... x O."""
        return F.linear(x, *self.original)


class PackedLinear(InferenceLinear):
    """W is packed once for oneDNN, for a CPU; torch's own product would pack it in every call."""

    dtype = torch.float32

    def pack(self, weight: Tensor, bias: Tensor | None) -> None:
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(self.dtype))
        self.bias = None if bias is None else bias.to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.packed, self.bias, "none", [], "").float()


class PackedBf16Linear(PackedLinear):
    """W, x and y are rounded to bfloat16; sums are in float32."""

    dtype = torch.bfloat16


class Bf16Linear(InferenceLinear):
    """W, x and y are rounded to bfloat16, on any device."""

    def pack(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight.bfloat16(), None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight, self.bias).float()


class Int8Linear(InferenceLinear):
    """y = s_x s_o (W_int8 x_int8) + b, with a scale s_o for each row o of W and s_x for each input; for a CPU.

    Scales map the largest absolute value to 127; bounded inputs have one s_x for all. Sums are exact, so that an output
    does not depend on its batch.
    """

    ZERO_POINT = 128  # oneDNN requires unsigned inputs

    def pack(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias, scales = bias, _scale(weight)
        self.scales = scales.squeeze(1)
        self.packed = torch.ops.onednn.qlinear_prepack((weight / scales).round().to(torch.int8), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.middle = torch.tensor(self.ZERO_POINT + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.bounded:
            return self._product(x, 127, 1 / 127, self.bias)
        scale = _scale(x)
        product = self._product(x / scale, 1, 1.0, None)
        return product * scale if self.bias is None else torch.addcmul(self.bias, product, scale)

    def _product(self, x: Tensor, steps: float, scale: float, bias: Tensor | None) -> Tensor:
        """Return ``scale`` * W round(``steps`` * x), the rounded numbers in [-127, 127]."""
        rounded = torch.add(self.middle, x, alpha=steps).to(torch.uint8).flatten(0, -2)  # from 1 to 255
        rows = len(rounded)
        padded = F.pad(rounded, (0, 0, 0, _round_up(rows) - rows))
        product = torch.ops.onednn.qlinear_pointwise(
            padded, scale, self.ZERO_POINT, self.packed, self.scales, self.zeros, bias,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return product[:rows].unflatten(0, x.shape[:-1])


def _round_up(rows: int) -> int:
    """Return the next number of rows that has at most four binary digits before zeros, at most an eighth more.

    oneDNN compiles a kernel for each number of rows (see :mod:`s2s_plugin.utils.kernels`), and they change all the time
    in a search.
    """
    unit = 1 << max(0, rows.bit_length() - 4)
    return -(-rows // unit) * unit


def _scale(rows: Tensor) -> Tensor:
    """Return the quantization step of each row, ... x 1 for rows ... x I."""
    return rows.abs().amax(-1, keepdim=True).mul_(1 / 127).clamp_(min=torch.finfo(torch.float32).tiny)


ON_CPU: dict[str, type[InferenceLinear]] = {"fp32": PackedLinear, "bf16": PackedBf16Linear, "int8": Int8Linear}
ON_GPU: dict[str, type[InferenceLinear]] = {"bf16": Bf16Linear}  # in float32 torch's own layers stay
PRECISIONS = tuple(ON_CPU)


@torch.no_grad()
def cached_input_gates(model: Seq2SeqModel) -> Tensor | None:
    """Return V x G, every target embedding's part of the first layer's gates; None if it would be too large."""
    decoder, cell = model.decoder, model.decoder.rnn.cells[0]
    vocab = len(decoder.dictionary)
    if cell.input_proj is None or vocab * cell.input_proj.out_features > MAX_CACHED_GATES:
        return None
    return cell.project_inputs(decoder.embedding(torch.arange(vocab, device=cell.input_proj.weight.device)))


@torch.no_grad()
def convert(model: Seq2SeqModel, precision: str) -> Seq2SeqModel:
    """Return a copy for inference: the decoder's large products in a precision, encoder RNNs in bfloat16 with bf16.

    The copy shares all other weights with the model, which must be on the device where it will run. A model that is not
    in float32 is returned itself.

    Raises:
        UserError: this machine does not support the precision.
    """
    parameter = next(model.decoder.parameters())
    if parameter.dtype != torch.float32:
        return model
    on_cpu = parameter.device.type == "cpu"
    if precision == "int8" and not on_cpu:
        raise UserError("task.search_precision=int8 requires a CPU; use bf16 on a GPU")
    shared = (*model.parameters(), *model.buffers(), model.decoder.dictionary)
    model = copy.deepcopy(model, {id(each): each for each in shared})
    model.eval()
    model.decoder.cached_input_gates = cached_input_gates(model)
    if precision == "bf16":  # otherwise autocast would convert them for every batch
        _replace(model.encoder, nn.RNNBase, lambda rnn: copy.deepcopy(rnn).bfloat16())
    layer = (ON_CPU if on_cpu else ON_GPU).get(precision)
    if layer is not None:
        bounded = _bounded(model)

        def converted(linear: nn.Linear) -> nn.Module:
            if type(linear) is not nn.Linear or linear.weight.numel() < MIN_CONVERTED_WEIGHTS:
                return linear
            return layer(linear.weight, linear.bias, linear in bounded)

        _replace(model.decoder, nn.Linear, converted)
    return model


def output_rows(layer: nn.Linear | InferenceLinear, ids: Tensor) -> InferenceLinear:
    """Return a linear layer, converted or not, with the outputs ``ids`` alone."""
    if isinstance(layer, nn.Linear):
        layer = InferenceLinear(layer.weight, layer.bias)
    weight, bias = layer.original
    return type(layer)(weight[ids], None if bias is None else bias[ids], layer.bounded)


def _replace(root: nn.Module, kind: type[nn.Module], convert: Callable[[Any], nn.Module]) -> None:
    for parent in list(root.modules()):
        for name, child in parent.named_children():
            if isinstance(child, kind):
                setattr(parent, name, convert(child))


def _bounded(model: Seq2SeqModel) -> set[nn.Module]:
    """Return the layers whose inputs lie in [-1, 1]: outputs of cells and tanh, without residuals and averages."""
    rnn, generator = model.decoder.rnn, model.decoder.generator
    if rnn.residual or not all(isinstance(norm, nn.Identity) for norm in rnn.norms):
        return set()
    if rnn.combine is not None and rnn.readout is not READOUTS["tanh"]:
        return set()  # the features are not bounded
    if isinstance(bridge := rnn.bridge, CopyBridge) and (
        isinstance(model.encoder, ImageEncoder) or any(isinstance(each, nn.Linear) for each in bridge.project)
    ):
        return set()  # the initial state is not bounded
    layers = set[nn.Module]()
    if isinstance(rnn, LuongDecoder):
        layers.update(cell.recurrent_proj for cell in rnn.cells)
    if isinstance(generator, Generator) and isinstance(generator.project, nn.Identity) and not rnn.uses_meanings:
        layers.add(generator.output)
    return layers
