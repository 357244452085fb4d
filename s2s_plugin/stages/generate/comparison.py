"""Compare a faster, approximate search with the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from s2s_plugin.inference.translator import Translator
from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.search.shortlist import miss_rate
from s2s_plugin.stages.generate.outputs import read_items
from s2s_plugin.tasks.config import EXACT_SEARCH
from s2s_plugin.utils.console import say

SAMPLE = 200  # validation items


def is_approximate(cfg: DictConfig) -> bool:
    """Return whether an option for speed may change outputs."""
    return any(cfg.task[name] != exact for name, exact in EXACT_SEARCH.items())


def compare_with_exact_search(cfg: DictConfig, checkpoint: Path, data: Path, scorers: Sequence[str]) -> dict[str, Any]:
    """Decode validation items, spread over the set, with this search and the exact one, score both and report."""
    options = {"data": data, "cpu": cfg.common.cpu, "max_tokens": cfg.dataset.max_tokens}
    exact_task = cfg.task.copy()
    exact_task.update(EXACT_SEARCH)
    outputs: list[list[str]] = []
    items = read_items(cfg, data, "valid")
    for task in (exact_task, cfg.task):
        translator = Translator(checkpoint, cfg.generation, task, **options)
        dataset = translator.dataset("valid")
        sample = range(0, len(dataset), max(1, len(dataset) // SAMPLE))[:SAMPLE]
        texts = [output.text for output in translator.decode([dataset[i]["source"] for i in sample])]
        if (codec := translator.task.codec) is not None:
            texts = [codec.fill(text, items[i]["source"] or "") for text, i in zip(texts, sample, strict=True)]
        outputs.append(texts)
    references = [items[i]["reference"] for i in sample]
    exact, fast = (evaluate(scorers, texts, references, cfg.scoring) for texts in outputs)
    search = ", ".join(f"{name}={cfg.task[name]}" for name, value in EXACT_SEARCH.items() if cfg.task[name] != value)
    same = sum(one == other for one, other in zip(*outputs, strict=True))
    metrics = {name: {"score": each["score"], "plain": exact[name]["score"]} for name, each in fast.items()}
    scores = ", ".join(f"{name} {each['score']:.2f}, not {each['plain']:.2f}" for name, each in metrics.items())
    say(f"      {search}: {same} of {len(references)} validation outputs as with the exact search; {scores}")
    result = {"search": search, "sentences": len(references), "same": same, "metrics": metrics}
    if (shortlist := translator.task.loader.shortlist()) is not None:
        pairs = ((dataset[i]["source"], dataset[i]["target"]) for i in range(len(dataset)))
        result["missing"], result["candidates"] = miss_rate(shortlist, pairs)
        say(f"      the shortlist lacks {result['missing']:.2%} of the validation tokens")
    return result
