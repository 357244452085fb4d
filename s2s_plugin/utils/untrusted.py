"""The border for files that a stranger may have written: plain data within bounds, without interpolations."""

from __future__ import annotations

import os
import zlib
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import write_bytes

MAX_DEPTH = 20  # of nesting
MAX_VALUES = 200_000  # in a checkpoint, tensors counted as one
MAX_YAML_BYTES = 2**20
MAX_INT = 2**63
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CHECKSUM_LINE = b"# crc32: "
AGAIN = "restore a copy, or delete it and run the train stage again"
REMEDY = "use only files of this version of s2s, from someone you trust"


def show(value: object, width: int = 60) -> str:
    """Format a value for a message: short, on one line, control characters escaped."""
    if isinstance(value, int) and abs(value) >= MAX_INT:
        return f"an integer of {value.bit_length()} bits"
    if not isinstance(value, (str, int, float, type(None))):
        return f"a {type(value).__name__}"
    text = repr(value[: width + 1] if isinstance(value, str) else value)
    return text if len(text) <= width + 2 else f"{text[:width]}..."


def require_file(path: Path, kind: str) -> None:
    """Raise UserError if the path is not a regular file: reading a FIFO or a device may never end."""
    if path.is_dir():
        raise UserError(f"{path}: a {kind} must be a file, got a folder; name a file in it")
    if not path.is_file():
        if os.path.lexists(path):
            raise UserError(f"{path}: a {kind} must be a regular file; name another")
        remedy = "check the name" if kind == "packaged model" else "run the train stage first"
        raise UserError(f"{path}: no such {kind}; {remedy}")


def check_plain(root: object, path: Path) -> None:
    """Raise UserError unless these are containers, numbers, strings and tensors, within bounds."""
    remaining, stack = MAX_VALUES, [("", root, 0)]
    while stack:
        place, value, depth = stack.pop()
        remaining -= 1
        if remaining < 0 or depth > MAX_DEPTH:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_VALUES:,} values"
            raise UserError(f"{path}: {place[:60]} exceeds {limit}; {REMEDY}")
        if (reason := _reason(value)) is not None:
            raise UserError(f"{path}: {place[:200] or 'content'}: {reason}; {REMEDY}")
        for key, child in _children(value):
            name = key if isinstance(key, str) and key.isidentifier() else show(key)
            if not isinstance(key, (str, int)):
                raise UserError(f"{path}: {place[:200]}: a key must be a string, got {name}; {REMEDY}")
            stack.append((f"{place}.{name}" if place else name, child, depth + 1))


def _reason(value: Any) -> str | None:
    """Return what is wrong with this value, without its children; None if nothing is."""
    if isinstance(value, torch.Tensor):
        return None if is_plain_tensor(value) else "expected a dense tensor that owns its numbers"
    if isinstance(value, str):
        return f"interpolations are not resolved, got {show(value)}" if "${" in value else None
    if isinstance(value, int):
        return None if abs(value) < MAX_INT else f"expected a 64-bit integer, got {show(value)}"
    if type(value) is OrderedDict:  # a state dict has this attribute; any other may hide a method
        return None if vars(value).keys() <= {"_metadata"} else "expected a dictionary without attributes"
    plain = type(value) in (dict, list, tuple, float, type(None), Namespace)
    return None if plain else f"expected plain data, got {show(value)}"


def is_plain_tensor(value: torch.Tensor) -> bool:
    """Return whether a tensor is what an honest checkpoint has: dense, on the CPU, no larger than what is stored."""
    return (
        type(value) is torch.Tensor
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex() or vars(value))
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        yield from dict.items(value)
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def write_yaml(path: Path, text: str) -> None:
    """Write a YAML file whole or not at all; its first line, a comment, is the CRC-32 of the rest."""
    write_bytes(path, _with_checksum(text.encode("utf-8")))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a config: plain YAML without anchors, tags and interpolations, which may have a checksum.

    Raises:
        UserError: it is not, it is damaged, or it is not a regular file.
    """
    require_file(path, "config")
    if path.stat().st_size > MAX_YAML_BYTES:
        raise UserError(f"{path}: expected at most {MAX_YAML_BYTES:,} bytes, got {path.stat().st_size:,}; {REMEDY}")
    try:
        content = path.read_bytes()
        if content.startswith(CHECKSUM_LINE) and content != _with_checksum(content.partition(b"\n")[2]):
            raise UserError(f"{path}: damaged, or edited without deleting its first line; {AGAIN}")
        text = content.decode("utf-8")
        for token in yaml.scan(text, Loader=YAML_LOADER):
            if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
                raise UserError(f"{path}:{token.start_mark.line + 1}: anchors and tags are not allowed; {REMEDY}")
        options = OmegaConf.to_container(OmegaConf.create(text)) if text.strip() else {}
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise UserError(f"{path}:{line}: not YAML ({show(error.problem)}); {AGAIN}") from None
    except (yaml.YAMLError, OmegaConfBaseException, AssertionError, ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path}: unreadable ({show(str(error))}); {AGAIN}") from None
    if not isinstance(options, dict):
        raise UserError(f"{path}: expected options by group, got {show(options)}; {AGAIN}")
    check_plain(options, path)
    return options  # type: ignore[return-value]


def _with_checksum(content: bytes) -> bytes:
    return CHECKSUM_LINE + b"%08x\n" % zlib.crc32(content) + content
