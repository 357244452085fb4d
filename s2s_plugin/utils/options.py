"""What an option affects, declared once: in the metadata of its dataclass field.

``field(default=1.0, metadata={"help": "...", "affects": DECODING})``. An option without a declaration affects training.
Every list of options by effect is derived from these with :func:`options_affecting`.
"""

from __future__ import annotations

from dataclasses import fields

TRAINING = ("training",)  # what is learnt
DECODING = ("decoding",)  # what is decoded
SPEED = ("speed",)  # neither, only how fast
DISPLAY = ("display",)  # neither, only what is printed
TRAINING_AND_DECODING = TRAINING + DECODING


def options_affecting(config: type, *effects: str) -> tuple[str, ...]:
    """Return the names of a config's options with one of the effects, in the order of their declaration.

    Args:
        config: a dataclass.
        effects: of "training", "decoding", "speed", "display".
    """
    wanted = set(effects)
    return tuple(each.name for each in fields(config) if wanted & set(each.metadata.get("affects", TRAINING)))
