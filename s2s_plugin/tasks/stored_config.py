"""Check a stored config, which may be a stranger's, against the schema: only our parts, only their options.

fairseq calls ``eval`` on strings in the options of tasks, models and criterions of other kinds than ours.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from fairseq import models, registry, tasks
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from s2s_plugin.errors import UserError
from s2s_plugin.tasks.user_dir import IMPORTED
from s2s_plugin.utils.untrusted import REMEDY, show

# Groups of a config that name a registered part, and the parts of fairseq that are as harmless as ours.
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


def find_part(group: str, name: str) -> tuple[type | None, type | None]:
    """Return the class and the dataclass of a part that is registered with fairseq; None where there is none."""
    if group == "task":
        return tasks.TASK_REGISTRY.get(name), tasks.TASK_DATACLASS_REGISTRY.get(name)
    if group == "model":
        model = models.ARCH_MODEL_NAME_REGISTRY.get(name, name)
        return models.ARCH_MODEL_REGISTRY.get(name), models.MODEL_DATACLASS_REGISTRY.get(model)
    entries = registry.REGISTRIES[group]
    return entries["registry"].get(name), entries["dataclass_registry"].get(name)


def check_config(config: Mapping[str, Any], schema: type, path: object) -> dict[str, Any]:
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


def _check_part(group: str, part: Any, path: object) -> dict[str, Any]:
    name = dict.get(part, "_name") if isinstance(part, dict) else part
    if name is None and group in UNUSED_PARTS:
        return {"_name": None}
    kind, schema = find_part(group, name) if isinstance(name, str) else (None, None)
    ours = any(base.__module__.startswith("s2s_plugin.") for base in getattr(kind, "__mro__", ()))
    if group == "criterion" and kind is not None:  # a user's own may derive from any of fairseq's
        ours = ours or kind.__module__.partition(".")[0] in {package.name for package in IMPORTED}
    if schema is None or not isinstance(part, dict) or not (ours or group in UNUSED_PARTS or name in PARTS[group]):
        raise UserError(f"{path}: {group} must be a part of s2s, got {show(name)}; {REMEDY}")
    return _check_options(part, schema, f"{group}.", path)


def _check_options(values: dict[str, Any], schema: type, prefix: str, path: object) -> dict[str, Any]:
    """Return the same options with values of the types that the dataclass declares."""
    try:
        merged = OmegaConf.structured(schema)
        merged.merge_with(values)
        return _restrict(OmegaConf.to_container(merged, enum_to_str=True), values)
    except (OmegaConfBaseException, AssertionError, TypeError, ValueError) as error:
        key = str(getattr(error, "full_key", None) or "options")
        rule = "unknown option" if "not in" in str(error) else "value of another type than declared"
        raise UserError(f"{path}: {show(prefix + key)[1:-1]}: {rule}; {REMEDY}") from None


def _restrict(merged: Any, stored: Any) -> Any:
    """Leave out the options that only the schema has."""
    if isinstance(merged, dict) and isinstance(stored, dict):
        return {key: _restrict(merged[key], stored[key]) for key in stored}
    return merged
