"""Attention weights of some test items, for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator

KEEP_WEIGHTS = {"print_alignment": "soft", "replace_unk": None, "score_reference": False}


def attention_examples(cfg: DictConfig, checkpoint: Path, data: Path, rows: list[dict], run: RunDir) -> str:
    """Decode some items again and return their attention, one JSON object a line.

    ``rows`` are the outputs, sources of several directions with their tags; features of signals are saved in the run's
    folder.
    """
    generation = OmegaConf.create(dict(cfg.generation) | KEEP_WEIGHTS)
    translator = Translator(checkpoint, generation, data=data, cpu=cfg.common.cpu)
    signal = rows[0]["source"] is None
    if signal:
        dataset = translator.dataset(cfg.dataset.gen_subset)
        sources = [dataset.sources[row["id"]] for row in rows]
    else:
        sources = [translator.encode(row["source"]) for row in rows]
    lines = []
    for row, source, hypothesis in zip(rows, sources, translator.decode(sources), strict=True):
        line = {"id": row["id"], "target_tokens": hypothesis.target_tokens}
        line["attention"] = [[round(weight, 4) for weight in step] for step in hypothesis.attention or []]
        if signal:
            line |= _save_signal(translator, row["id"], source, run)
        else:
            line["source_tokens"] = translator.source_tokens(source)
        lines.append(line)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _save_signal(translator: Translator, number: int, source: Tensor, run: RunDir) -> dict[str, Any]:
    """Save the features of a signal in the run folder and return what the report needs to draw on them."""
    features = f"attention/{number}.npy"
    path = run.folder / features
    path.parent.mkdir(exist_ok=True)
    np.save(path, translator.task.frontend.to_image(source))
    return {"features": features, **signal_steps(translator, source)}


def signal_steps(translator: Translator, source: Tensor) -> dict[str, Any]:
    """Return the modality of a signal, and which part of it each memory step covers."""
    task, encoder = translator.task, translator.models[0].encoder
    if task.modality == "image":
        return {"modality": task.modality, "grid": encoder.cnn.grid(source.shape)}
    seconds = task.frontend.seconds_per_step
    return {"modality": task.modality, "stride": encoder.stride, "seconds_per_frame": seconds}
