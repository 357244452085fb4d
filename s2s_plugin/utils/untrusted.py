"""The border for files that a stranger may have written: plain data within bounds, and options of the schema.

torch's safe loader and YAML's pass plain data, but fairseq calls ``eval`` on strings in it, for tasks, models and
criterions of other kinds than ours, and OmegaConf resolves ``${...}``. So a stored config may name only our parts, has
only the options of their dataclasses, of the declared types, and no interpolation.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from fairseq import models, registry, tasks
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from s2s_plugin.errors import UserError

MAX_DEPTH = 20  # of nesting
MAX_VALUES = 200_000  # in a checkpoint, tensors counted as one
MAX_YAML_BYTES = 2**20
MAX_YAML_EVENTS = 20_000
MAX_INT = 2**63
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REMEDY = "use only files of this version of s2s, from someone you trust"

# Groups of a config that name a registered part. Those that a file may name in addition to our own parts.
PARTS: dict[str, tuple[str, ...]] = {
    "task": (),
    "model": (),
    "criterion": (
        "adaptive_loss",
        "cross_entropy",
        "label_smoothed_cross_entropy",
        "label_smoothed_cross_entropy_with_alignment",
        "label_smoothed_cross_entropy_with_rdrop",
    ),
    "scoring": ("bleu", "chrf", "sacrebleu", "wer"),
}
UNUSED_PARTS = ("optimizer", "lr_scheduler", "bpe", "tokenizer")  # nothing here builds those of a stored config


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
        raise UserError(f"{path}: no such {kind}; run the train stage first")


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


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a stored config: plain YAML without anchors, tags and interpolations.

    Raises:
        UserError: it is not, or it is not a regular file.
    """
    require_file(path, "config")
    if path.stat().st_size > MAX_YAML_BYTES:
        raise UserError(f"{path}: expected at most {MAX_YAML_BYTES:,} bytes, got {path.stat().st_size:,}; {REMEDY}")
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(text, path)
        content = OmegaConf.to_container(OmegaConf.create(text)) if text.strip() else {}
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise UserError(f"{path}:{line}: not YAML ({show(error.problem)}); run the train stage again") from None
    except (yaml.YAMLError, OmegaConfBaseException, AssertionError, ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path}: unreadable ({show(str(error))}); run the train stage again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected options by group, got {show(content)}; run the train stage again")
    check_plain(content, path)
    return content  # type: ignore[return-value]


def _check_events(text: str, path: Path) -> None:
    """Raise UserError for what a config never contains and what may grow when it is constructed."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=YAML_LOADER)):
        reason = None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if number > MAX_YAML_EVENTS or depth > MAX_DEPTH:
            reason = f"exceeds {MAX_YAML_EVENTS:,} values or {MAX_DEPTH} levels"
        elif getattr(event, "anchor", None) is not None:
            reason = f"anchors are not allowed, got {show(event.anchor)}"
        elif getattr(event, "tag", None) is not None:
            reason = f"tags are not allowed, got {show(event.tag)}"
        elif "${" in getattr(event, "value", ""):
            reason = f"interpolations are not resolved, got {show(event.value)}"
        if reason is not None:
            raise UserError(f"{path}:{event.start_mark.line + 1}: {reason}; {REMEDY}")


def check_config(config: Mapping[str, Any], schema: type, path: Path) -> dict[str, Any]:
    """Return a stored config with its values as declared in ``schema``, fairseq's config or one derived from it.

    Raises:
        UserError: a part is not ours, an option is not in the schema, or a value is not of the declared type.
    """
    parts = {group: config[group] for group in (*PARTS, *UNUSED_PARTS) if group in config}
    checked = _check_options({key: config[key] for key in config if key not in parts}, schema, "", path)
    for group, part in parts.items():
        if group in UNUSED_PARTS and isinstance(part, Namespace):  # of a part of fairseq that has no dataclass
            part = None
        checked[group] = None if part is None else _check_part(group, part, path)
    return {key: checked[key] for key in config}


def _check_part(group: str, part: Any, path: Path) -> dict[str, Any]:
    name = dict.get(part, "_name") if isinstance(part, dict) else part
    if name is None and group in UNUSED_PARTS:
        return {"_name": None}
    schema = _find_schema(group, name) if isinstance(name, str) else None
    if schema is None or not isinstance(part, dict):
        raise UserError(f"{path}: {group} must be a part of s2s, got {show(name)}; {REMEDY}")
    return _check_options(part, schema, f"{group}.", path)


def _find_schema(group: str, name: str) -> type | None:
    """Return the dataclass of a registered part that a stored config may name; None if there is none."""
    if group == "task":
        part, schema = tasks.TASK_REGISTRY.get(name), tasks.TASK_DATACLASS_REGISTRY.get(name)
    elif group == "model":
        part = models.ARCH_MODEL_REGISTRY.get(name)
        schema = models.MODEL_DATACLASS_REGISTRY.get(models.ARCH_MODEL_NAME_REGISTRY.get(name, name))
    else:
        entries = registry.REGISTRIES[group]
        part, schema = entries["registry"].get(name), entries["dataclass_registry"].get(name)
    ours = any(base.__module__.startswith("s2s_plugin.") for base in getattr(part, "__mro__", ()))
    return schema if ours or group in UNUSED_PARTS or name in PARTS[group] else None


def _check_options(values: dict[str, Any], schema: type, prefix: str, path: Path) -> dict[str, Any]:
    """Return the same options with values of the types that the dataclass declares."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), values)
        return _restrict(OmegaConf.to_container(merged, enum_to_str=True), values)
    except (OmegaConfBaseException, AssertionError, TypeError, ValueError) as error:
        key = str(getattr(error, "full_key", None) or "options")
        value: Any = values
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else value
        reason = str(getattr(error, "msg", None) or error).splitlines()[0]
        rule = "unknown option" if "not in" in reason else "value of another type than declared"
        raise UserError(f"{path}: {show(prefix + key)[1:-1]}: {rule}, got {show(value)}; {REMEDY}") from None


def _restrict(merged: Any, given: Any) -> Any:
    """Leave out the options that only the schema has."""
    if isinstance(merged, dict) and isinstance(given, dict):
        return {key: _restrict(merged[key], given[key]) for key in given}
    return merged
