"""The content of a web page for a model that is not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq.data import Dictionary

from s2s_plugin.models.seq2seq import Seq2SeqConfig
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.stages.export.web_model import SEARCH, join_content, text_side


def page_content(
    folder: Path, config: Seq2SeqConfig, options: BeamOptions, weights: bytes, dictionary: Dictionary, modality: str
) -> bytes:
    """Return what ``web/model.js`` reads; ``folder`` has the codec of both sides."""
    header: dict[str, Any] = {
        "about": {"modality": modality},
        "config": {name: getattr(value, "value", value) for name, value in vars(config).items() if name[0] != "_"},
        "search": {name: getattr(options, name) for name in SEARCH},
        "limits": {"source": config.max_source_positions, "target": config.max_target_positions - 1},
        "dictionaries": {"source": dictionary.symbols, "target": dictionary.symbols},
        "codec": text_side(folder, "de", "de"),
        "frontend": None,
    }
    return join_content(header, weights)
