"""Sequence-to-sequence models for fairseq: ``fairseq-train DATA --user-dir s2s_plugin --task s2s --arch s2s``.

Importing this package registers everything with fairseq; fairseq itself imports only ``models`` and ``tasks``.
:func:`load` is the Python API of trained models.
"""

# ruff: noqa: F401
from typing import TYPE_CHECKING, Any

from s2s_plugin import compat  # before any part of fairseq
from s2s_plugin.criterions import cross_entropy, minimum_risk
from s2s_plugin.models import presets
from s2s_plugin.scoring import caption, dialogue, recognition, rouge, shell, translation
from s2s_plugin.tasks import seq2seq
from s2s_plugin.text import fairseq_bpe

if TYPE_CHECKING:
    from s2s_plugin.package.model import Model, Output, load

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import the Python API when it is used: training does without it."""
    if name in ("load", "Model", "Output"):
        from s2s_plugin.package import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
