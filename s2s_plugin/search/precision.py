"""The decoder's matrix products while searching: where most of a step's time goes.

A checkpoint stays as it is; the copy in memory is converted when it is loaded. On a CPU oneDNN multiplies, with weights
laid out for it once: in float32 two to ten times as fast as torch's own product, which lays them out at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.errors import UserError
from s2s_plugin.models.bridge import CopyBridge
from s2s_plugin.models.decoders.luong import LuongDecoder
from s2s_plugin.models.encoders.image import ImageEncoder
from s2s_plugin.models.generator import Generator
from s2s_plugin.models.seq2seq import Seq2SeqModel

LARGEST_TABLE = 2**24  # numbers
WORTHWHILE = 2**14  # weights of a product below which converting its input costs more than it saves


class InferenceLinear(nn.Module):
    """A layer y = W x + b for inference; this one multiplies as torch does.

    Args:
        weight: O x I in float32, W.
        bias: O, or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.original = weight.detach(), None if bias is None else bias.detach()

    def rows(self, ids: Tensor) -> nn.Module:
        """The layer that gives the outputs ``ids`` alone."""
        weight, bias = self.original
        return type(self)(weight[ids], None if bias is None else bias[ids])

    def forward(self, x: Tensor) -> Tensor:
        """... x I to ... x O in float32."""
        return F.linear(x, *self.original)


class PackedLinear(InferenceLinear):
    """W is laid out for oneDNN; for a CPU."""

    dtype = torch.float32

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__(weight, bias)
        weight, bias = self.original
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(self.dtype))
        self.bias = None if bias is None else bias.to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.packed, self.bias, "none", [], "").float()


class PackedBf16Linear(PackedLinear):
    """W, x and y are rounded to bfloat16; sums are in float32."""

    dtype = torch.bfloat16


class Bf16Linear(InferenceLinear):
    """W, x and y are rounded to bfloat16, on any device."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__(weight, bias)
        weight, bias = self.original
        self.weight, self.bias = weight.bfloat16(), None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight, self.bias).float()


class Int8Linear(InferenceLinear):
    """y = s_x s_o (W_int8 x_int8) + b, with a scale s_o for each row o of W and s_x for each input; for a CPU.

    Scales map the largest absolute value to 127; sums are exact, so that an output does not depend on its batch.

    Args:
        weight: O x I in float32, W.
        bias: O, or None.
        bounded: inputs lie in [-1, 1], so that one scale s_x suits all and need not be looked for.
    """

    ZERO = 128  # oneDNN wants unsigned inputs: this stands for 0

    def __init__(self, weight: Tensor, bias: Tensor | None, bounded: bool = False):
        super().__init__(weight, bias)
        self.bounded = bounded
        weight, self.bias = self.original
        scales = _scale(weight)
        self.scales = scales.squeeze(1)
        self.packed = torch.ops.onednn.qlinear_prepack((weight / scales).round().to(torch.int8), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.middle = torch.tensor(self.ZERO + 0.5)

    def rows(self, ids: Tensor) -> nn.Module:
        weight, bias = self.original
        return Int8Linear(weight[ids], None if bias is None else bias[ids], self.bounded)

    def forward(self, x: Tensor) -> Tensor:
        if self.bounded:
            return self._product(x, 127, 1 / 127, self.bias)
        x = x.float()
        scale = _scale(x)
        product = self._product(x / scale, 1, 1.0, None)
        return product * scale if self.bias is None else torch.addcmul(self.bias, product, scale)

    def _product(self, x: Tensor, steps: float, scale: float, bias: Tensor | None) -> Tensor:
        """W times the integers next to ``steps`` x, from -127 to 127, times ``scale``."""
        rounded = torch.add(self.middle, x, alpha=steps).to(torch.uint8)  # from 1 to 255
        return torch.ops.onednn.qlinear_pointwise(
            rounded.flatten(0, -2), scale, self.ZERO, self.packed, self.scales, self.zeros, bias,
            1.0, 0, torch.float32, "none", [], "",
        ).unflatten(0, x.shape[:-1])  # fmt: skip


def _scale(rows: Tensor) -> Tensor:
    """Of one step of 127, ... x 1 for rows ... x I."""
    return rows.abs().amax(-1, keepdim=True).mul_(1 / 127).clamp_(min=torch.finfo(torch.float32).tiny)


ON_CPU: dict[str, type[InferenceLinear]] = {"fp32": PackedLinear, "bf16": PackedBf16Linear, "int8": Int8Linear}
ON_GPU: dict[str, type[InferenceLinear]] = {"bf16": Bf16Linear}  # in float32 torch's own layers stay
PRECISIONS = tuple(ON_CPU)


@torch.no_grad()
def cached_input_gates(model: Seq2SeqModel) -> Tensor | None:
    """V x G: every target embedding's share of the first layer's gates, a product less a step; None where too large."""
    decoder, cell = model.decoder, model.decoder.rnn.cells[0]
    symbols = len(decoder.dictionary)
    if cell.input_proj is None or symbols * cell.input_proj.out_features > LARGEST_TABLE:
        return None
    return cell.project_inputs(decoder.embedding(torch.arange(symbols, device=cell.input_proj.weight.device)))


def convert(model: Seq2SeqModel, precision: str) -> None:
    """Convert the decoder's large matrix products for inference, in place, and the encoder's recurrences to bfloat16.

    Args:
        model: on the device where it will run.
        precision: a name in ``PRECISIONS``.

    Raises:
        UserError: this machine cannot do it.
    """
    parameter = next(model.decoder.parameters())
    if parameter.dtype != torch.float32:
        return  # it was loaded in another format
    on_cpu = parameter.device.type == "cpu"
    if precision == "int8" and not on_cpu:
        raise UserError("task.search_precision=int8 is for CPUs; on a GPU take bf16")
    layer = (ON_CPU if on_cpu else ON_GPU).get(precision)
    if model.decoder.cached_input_gates is None:
        model.decoder.cached_input_gates = cached_input_gates(model)
    if precision != "fp32":  # autocast would do so at every batch
        for module in model.encoder.modules():
            if isinstance(module, nn.RNNBase):
                module.bfloat16()
    if layer is None:
        return
    bounded = _bounded(model)
    for parent in list(model.decoder.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear and child.weight.numel() >= WORTHWHILE:
                more = {"bounded": child in bounded} if layer is Int8Linear else {}
                setattr(parent, name, layer(child.weight, child.bias, **more))


def _bounded(model: Seq2SeqModel) -> set[nn.Module]:
    """Products of numbers in [-1, 1] alone: what cells and tanh give, with nothing added and no average of values."""
    rnn, generator = model.decoder.rnn, model.decoder.generator
    if rnn.residual or not all(isinstance(norm, nn.Identity) for norm in rnn.norms):
        return set()
    if isinstance(bridge := rnn.bridge, CopyBridge) and (
        isinstance(model.encoder, ImageEncoder) or any(isinstance(each, nn.Linear) for each in bridge.project)
    ):
        return set()  # the first state may be any number
    found = set[nn.Module]()
    if isinstance(rnn, LuongDecoder):
        found.update(cell.recurrent_proj for cell in rnn.cells)
    if isinstance(generator, Generator) and isinstance(generator.project, nn.Identity):
        found.add(generator.output)
    return found


def rows(layer: nn.Module, ids: Tensor) -> nn.Module:
    """A linear layer, converted or not, that gives the outputs ``ids`` alone."""
    if isinstance(layer, nn.Linear):
        layer = InferenceLinear(layer.weight, layer.bias)
    assert isinstance(layer, InferenceLinear)
    return layer.rows(ids)
