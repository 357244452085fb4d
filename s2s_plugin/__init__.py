"""Sequence-to-sequence models for fairseq: ``fairseq-train DATA --user-dir s2s_plugin --task s2s --arch s2s``.

Importing this package registers everything with fairseq; fairseq itself imports only ``models`` and ``tasks``.
"""

from s2s_plugin import compatibility, scoring
from s2s_plugin.criterions import minimum_risk
from s2s_plugin.criterions import seq2seq as criterion
from s2s_plugin.datasets import bpe
from s2s_plugin.models import presets, seq2seq
from s2s_plugin.scoring import caption, chat, commands, recognition, rouge, translation
from s2s_plugin.tasks import seq2seq as task

__all__ = [
    "bpe",
    "caption",
    "chat",
    "commands",
    "compatibility",
    "criterion",
    "minimum_risk",
    "presets",
    "recognition",
    "rouge",
    "scoring",
    "seq2seq",
    "task",
    "translation",
]
__version__ = "0.1.0"
