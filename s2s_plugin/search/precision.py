"""The decoder's matrix products while searching: where most of a step's time goes.

A checkpoint stays as it is; the copy in memory is converted when it is loaded. On a CPU oneDNN multiplies, with weights
laid out for it once: in float32 two to ten times as fast as torch's own product, which lays them out at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel

PRECISIONS = ("fp32", "bf16", "int8")
LARGEST_TABLE = 2**24  # numbers
WORTHWHILE = 2**14  # weights of a product below which converting its input costs more than it saves


class Converted(nn.Module):
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


class PackedLinear(Converted):
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


class Bf16Linear(Converted):
    """W, x and y are rounded to bfloat16, on any device."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__(weight, bias)
        weight, bias = self.original
        self.weight, self.bias = weight.bfloat16(), None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight, self.bias).float()


class Int8Linear(Converted):
    """y = s_x s_o (W_int8 x_int8) + b, with a scale s_o for each row o of W and s_x for each input; for a CPU.

    Scales map the largest absolute value to 127; sums are exact, so that an output does not depend on its batch.
    """

    ZERO = 128  # oneDNN wants unsigned inputs: this stands for 0

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__(weight, bias)
        weight, self.bias = self.original
        scales = _scale(weight)
        self.scales = scales.squeeze(1)
        self.packed = torch.ops.onednn.qlinear_prepack((weight / scales).round().to(torch.int8), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        scale = _scale(x)
        rounded = (x / scale).add_(self.ZERO + 0.5).to(torch.uint8)  # from 1 to 255
        product = torch.ops.onednn.qlinear_pointwise(
            rounded.flatten(0, -2), 1.0, self.ZERO, self.packed, self.scales, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        ).unflatten(0, x.shape[:-1])  # fmt: skip
        return product * scale if self.bias is None else torch.addcmul(self.bias, product, scale)


def _scale(rows: Tensor) -> Tensor:
    """Of one step of 127, ... x 1 for rows ... x I."""
    return rows.abs().amax(-1, keepdim=True).mul_(1 / 127).clamp_(min=torch.finfo(torch.float32).tiny)


ON_CPU: dict[str, type[Converted]] = {"fp32": PackedLinear, "bf16": PackedBf16Linear, "int8": Int8Linear}


@torch.no_grad()
def gate_shares(model: Seq2SeqModel) -> Tensor | None:
    """V x G: every target embedding's share of the first layer's gates, a product less a step; None where too large."""
    decoder, cell = model.decoder, model.decoder.recurrence.cells[0]
    symbols = len(decoder.dictionary)
    if cell.known is None or symbols * cell.known.out_features > LARGEST_TABLE:
        return None
    return cell.read(decoder.embedding(torch.arange(symbols, device=cell.known.weight.device)))


def convert(model: Seq2SeqModel, precision: str) -> None:
    """Convert the decoder's large matrix products for inference, in place.

    Args:
        model: on the device where it will run.
        precision: a name in ``PRECISIONS``.

    Raises:
        UserError: this machine cannot do it.
    """
    layer: type[Converted] | None = Bf16Linear if precision == "bf16" else None
    parameter = next(model.parameters())
    if parameter.dtype != torch.float32:
        return  # it was loaded in another format
    if parameter.device.type == "cpu":
        layer = ON_CPU[precision]
    elif precision == "int8":
        raise UserError("task.search_precision=int8 is for CPUs; on a GPU take bf16")
    if model.decoder.gate_shares is None:
        model.decoder.gate_shares = gate_shares(model)
    if layer is None:
        return
    for parent in list(model.decoder.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear and child.weight.numel() >= WORTHWHILE:
                setattr(parent, name, layer(child.weight, child.bias))


def rows(layer: nn.Module, ids: Tensor) -> nn.Module:
    """A linear layer, converted or not, that gives the outputs ``ids`` alone."""
    if isinstance(layer, nn.Linear):
        layer = Converted(layer.weight, layer.bias)
    assert isinstance(layer, Converted)
    return layer.rows(ids)
