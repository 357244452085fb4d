"""The weights of a packaged model: safetensors in fp32, bf16 or int8."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2s_plugin.errors import UserError

PRECISIONS = ("fp32", "bf16", "int8")
SCALE = ".scale"  # of the rows of a matrix in int8
TIED = "tied"  # in the metadata: other names of a tensor
MIN_INT8 = 1024  # numbers in a matrix; smaller ones, and vectors, stay as they are
HEADER_BYTES = 8  # of its length, at the beginning


def pack_weights(weights: Mapping[str, Tensor], precision: str) -> bytes:
    """Return the weights as a safetensors file; equal tensors are in it once.

    In int8 each row of a matrix is rounded to multiples of its greatest absolute value / 127, which are stored
    next to it.
    """
    first: dict[tuple[bytes, torch.Size], str] = {}
    tied: dict[str, str] = {}
    packed: dict[str, Tensor] = {}
    for name, value in weights.items():
        content = hashlib.sha256(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()).digest(), value.shape
        if content in first:  # such as embeddings of a shared vocabulary
            tied[name] = first[content]
            continue
        first[content] = name
        if precision == "int8" and value.dim() == 2 and value.is_floating_point() and value.numel() >= MIN_INT8:
            scale = value.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / 127
            packed[name], packed[name + SCALE] = (value / scale).round().to(torch.int8), scale
        else:
            is_bf16 = precision == "bf16" and value.is_floating_point()
            packed[name] = (value.to(torch.bfloat16) if is_bf16 else value).clone().contiguous()
    return save(packed, {TIED: json.dumps(tied)})


def unpack_weights(content: bytes, place: str) -> dict[str, Tensor]:
    """Return the weights of a safetensors file, in fp32.

    Raises:
        UserError: it is damaged; ``place`` names it.
    """
    try:
        packed, tied = load(content), _tied(content)
        matrices = [name for name, value in packed.items() if value.dtype == torch.int8]
        scales = {name: packed.pop(name + SCALE) for name in matrices}
        weights = {name: _to_fp32(value, scales.get(name)) for name, value in packed.items()}
        return weights | {name: weights[other] for name, other in tied.items()}
    except (SafetensorError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{place}: its weights are damaged ({str(error).splitlines()[0][:100]})") from None


def read_tensors(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors of weights in fp32 or int8 as they are stored, and other names of some of them."""
    return {name: value.numpy() for name, value in load(content).items()}, _tied(content)


def count_parameters(content: bytes) -> int:
    """Return how many numbers there are in stored weights, shared ones counted once."""
    return sum(value.size for name, value in read_tensors(content)[0].items() if not name.endswith(SCALE))


def _tied(content: bytes) -> dict[str, str]:
    header = json.loads(content[HEADER_BYTES : HEADER_BYTES + int.from_bytes(content[:HEADER_BYTES], "little")])
    return json.loads(header.get("__metadata__", {}).get(TIED, "{}"))


def _to_fp32(value: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None:
        return value.float() if value.is_floating_point() else value
    if value.dim() != 2 or scale.shape != (len(value), 1):
        raise ValueError("scales of another shape")
    return value.float() * scale
