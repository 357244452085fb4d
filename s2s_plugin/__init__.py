"""Sequence-to-sequence models for fairseq: ``fairseq-train DATA --user-dir s2s_plugin --task s2s --arch s2s``.

Importing this package registers everything with fairseq; fairseq itself imports only ``models`` and ``tasks``.
"""

# ruff: noqa: F401
from s2s_plugin import compat  # before any part of fairseq
from s2s_plugin.criterions import cross_entropy, minimum_risk
from s2s_plugin.models import presets
from s2s_plugin.scoring import caption, dialogue, recognition, rouge, shell, translation
from s2s_plugin.tasks import seq2seq
from s2s_plugin.text import fairseq_bpe

__version__ = "0.2.0"
