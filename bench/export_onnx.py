"""Compare the graphs of ``s2s export --onnx`` with the model that they come from.

    python bench/export_onnx.py runs/nmt/default fp32-folder int8-folder > bench/results/export_onnx.json

Agreement of the outputs for the first 250 test sources, the greatest difference of log-probabilities (teacher forcing
with our outputs), bytes of the graphs, and sentences a second of the example, one at a time on one thread, and of
``s2s_plugin.load`` in the same way.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import s2s_plugin
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.tasks.checkpoint import load_model

SENTENCES = 250


def load_example(folder: Path) -> Any:
    """Return the model of the example that lies in a folder."""
    spec = importlib.util.spec_from_file_location("translate", folder / "translate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(folder)


@torch.no_grad()
def max_difference(model: Any, task: Any, example: Any, lines: list[str], outputs: list[str]) -> float:
    """Return the greatest difference of log-probabilities above -10 over all steps of the outputs."""
    worst = 0.0
    for line, output in zip(lines, outputs, strict=True):
        ids = example.encode(line)
        target = task.target_dictionary.encode_line(
            task.codec.encode_target(output, line), add_if_not_exist=False
        ).long()
        previous = torch.cat((target[-1:], target[:-1]))
        logits = model(torch.tensor([ids]), torch.tensor([len(ids)]), previous[None])[0]
        expected = logits[0].log_softmax(-1).numpy()
        values = example.run("encoder", {"source": np.array([ids]), "lengths": np.array([len(ids)])})
        for step, token in enumerate(previous.tolist()):
            values |= example.run("step", values | {"previous": np.array([[token]])})
            scores = example.run("generator", values)["log_probs"][0, 0]
            likely = expected[step] > -10
            worst = max(worst, float(np.abs(scores - expected[step])[likely].max()))
            values |= {name.removeprefix("next_"): value for name, value in values.items() if name.startswith("next_")}
    return worst


def timed(translate: Any, lines: list[str]) -> tuple[list[str], float]:
    """Return the outputs, and sentences a second of the processor."""
    translate(lines[0])
    start = time.process_time()
    outputs = [translate(line) for line in lines]
    return outputs, round(len(lines) / (time.process_time() - start), 1)


def main(run: Path, folders: list[Path]) -> None:
    """Print the comparison as JSON."""
    torch.set_num_threads(1)
    rows = (json.loads(line) for line in (run / "outputs.jsonl").read_text("utf-8").splitlines())
    lines = [row["source"] for row in rows][:SENTENCES]
    ours = s2s_plugin.load(run)
    results: dict[str, Any] = {"run": run.as_posix(), "sentences": len(lines)}
    outputs: dict[int | None, list[str]] = {}
    for beam in (None, 1):
        outputs[beam], speed = timed(lambda line, b=beam: ours.translate(line, **({"beam": b} if b else {})), lines)
        results[f"s2s, beam {beam or 'default'}: sentences/s"] = speed
    model, _, task = load_model(RunDir(run).best_checkpoint(), run / "data")
    for folder in folders:
        example = load_example(folder)
        size = sum(path.stat().st_size for path in folder.glob("*.onnx"))
        result: dict[str, Any] = {"bytes": size}
        for beam in (None, 1):
            got, speed = timed(lambda line, b=beam, e=example: e.translate(line, b), lines)
            equal = sum(a == b for a, b in zip(got, outputs[beam], strict=True))
            result[f"beam {beam or 'default'}"] = {"equal": equal, "sentences/s": speed}
        result["difference"] = max_difference(model.eval(), task, example, lines[:50], outputs[None][:50])
        results[folder.name] = result
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
