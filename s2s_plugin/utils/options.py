"""What an option affects, declared once: in the metadata of its dataclass field.

``option(1.0, "help", DECODING)`` is short for ``field(default=1.0, metadata={"help": "help", "affects": DECODING})``.
An option without a declaration affects training. Every list of options by effect is derived with
:func:`options_affecting`.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

TRAINING = ("training",)  # what is learned
DECODING = ("decoding",)  # what is decoded
SPEED = ("speed",)  # neither, only how fast
DISPLAY = ("display",)  # neither, only what is printed
TRAINING_AND_DECODING = TRAINING + DECODING


def option(default: Any, explanation: str, affects: tuple[str, ...] = TRAINING, saved: bool = False) -> Any:
    """Return a dataclass field with its help and effects; a list or dict as default is copied.

    ``saved`` marks what a later stage takes from the run's own config.
    """
    metadata = {"help": explanation, "affects": affects, "saved": saved}
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def options_affecting(config: type, *effects: str) -> tuple[str, ...]:
    """Return the names of a config's options with one of the effects, in the order of their declaration."""
    return tuple(each.name for each in fields(config) if {*effects} & {*each.metadata.get("affects", TRAINING)})
