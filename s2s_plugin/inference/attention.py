"""Where the model looked in a few items of the test set, for the report to draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.inference.translator import Translator
from s2s_plugin.utils.run_dir import RunDir

SHOWN = 4  # items
SHOWN_SYMBOLS = range(6, 26)  # of texts of such a length


def attention_of(cfg: DictConfig, checkpoint: Path, data: Path, rows: list[dict], run: RunDir) -> str:
    """Attention of a few items spread over the test set, one JSON object a line.

    Args:
        cfg: fairseq's.
        rows: the items with their outputs; sources of several directions with their tags.
        run: whose folder gets pictures of signals.
    """
    translator = Translator(checkpoint, cfg.generation, data, attention=True, cpu=cfg.common.cpu)
    signal = rows[0]["source"] is None
    fit = [row for row in rows if signal or len(row["source"]) // 5 + 1 in SHOWN_SYMBOLS] or rows
    chosen = fit[:: max(1, len(fit) // SHOWN)][:SHOWN]
    if signal:
        dataset = translator.dataset(cfg.dataset.gen_subset)
        sources = [dataset.sources[row["id"]] for row in chosen]
    else:
        sources = [translator.symbols(row["source"]) for row in chosen]
    lines = []
    for row, source, hypothesis in zip(chosen, sources, translator.decode(sources), strict=True):
        line = {"id": row["id"], "target_tokens": hypothesis.target_tokens}
        line["attention"] = [[round(weight, 4) for weight in step] for step in hypothesis.attention or []]
        if signal:
            line |= _picture_of(translator, row["id"], source, run)
        else:
            line["source_tokens"] = translator.source_tokens(source)
        lines.append(line)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _picture_of(translator: Translator, number: int, source: Tensor, run: RunDir) -> dict[str, Any]:
    """What the report needs to draw attention on a signal; its features go to a file of their own."""
    task, encoder = translator.task, translator.models[0].encoder
    about: dict[str, Any] = {"modality": task.modality, "features": f"attention/{number}.npy"}
    if task.modality == "image":
        about["grid"] = encoder.grid(source.shape)
    else:
        about |= {"stride": encoder.stride, "seconds_per_frame": task.frontend.seconds_per_step}
    path = run.folder / about["features"]
    path.parent.mkdir(exist_ok=True)
    np.save(path, task.frontend.to_image(source))
    return about
