"""The stage ``score``: metrics of the outputs, with intervals and signatures, next to trivial baselines."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

import torch
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.inference.syntax import is_shell
from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.search.scorer import log_likelihoods
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.baselines import LABELS, baselines
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.utils.console import WIDTH, say
from s2s_plugin.utils.io import fingerprint, read_json, write_json


class ScoreStage(Stage):
    """Write ``scores.json``."""

    name = "score"

    def run(self, job: Job) -> None:
        cfg, run_dir = job.cfg, job.run_dir
        info, training = run_dir.read_generation_info(), run_dir.read_result()
        if not info or not run_dir.outputs.is_file():
            raise UserError(f"{run_dir.folder}: nothing to score; run the generate stage first")
        rows = run_dir.read_outputs()
        trivial = _kept_baselines(job, info["subset"], rows)
        cfg = cfg.copy()
        cfg.metrics = applicable_metrics(cfg)
        scores = {"subset": info["subset"], **_scores(cfg, rows, trivial)}
        if cfg.perplexity:
            checkpoint = run_dir.best_checkpoint()
            scores["metrics"]["perplexity"] = perplexity(checkpoint, cfg.task.data, info["subset"], cfg.common.cpu)
        if "direction" in rows[0]:
            scores["directions"] = _by_direction(cfg, rows, trivial)
        scores |= {"search": {"beam": info["beam"], **info["search"]}, "checkpoint": info["checkpoint"]}
        scores |= {key: training.get(key) for key in ("seed", "parameters", "updates", "precision")}
        scores["train_seconds"] = training.get("seconds")
        write_json(run_dir.scores, scores)


def applicable_metrics(cfg: DictConfig) -> list[str]:
    """Return the metrics of the run; that of shell commands only if the references are such."""
    if "s2s_template" not in cfg.metrics or is_shell(cfg):
        return list(cfg.metrics)
    say("      s2s_template is left out: it is of shell commands, and the references are none")
    return [name for name in cfg.metrics if name != "s2s_template"]


def _kept_baselines(job: Job, subset: str, rows: list[dict]) -> dict[str, list[str]]:
    """Return the outputs of each baseline; those of the same test set are kept, as the training data may go."""
    cfg, path = job.cfg, job.run_dir.baselines
    key = fingerprint(job.prepared.name, subset, [(row["source"], row.get("item"), row["reference"]) for row in rows])
    kept = read_json(path, {"key": str, "outputs": {str: [str]}}) or {}
    outputs = kept["outputs"] if kept.get("key") == key else {}
    if missing := [name for name in cfg.baselines if LABELS[name] not in outputs]:
        outputs |= baselines(missing, job.prepared, cfg.data.source_lang, cfg.data.target_lang, subset, rows)
        write_json(path, {"key": key, "outputs": outputs})
    trivial = {LABELS[name]: outputs[LABELS[name]] for name in cfg.baselines}
    return trivial | ({"retrieved target": [row["retrieved"] for row in rows]} if "retrieved" in rows[0] else {})


def _by_direction(cfg: DictConfig, rows: list[dict], trivial: dict[str, list[str]]) -> dict[str, dict]:
    """Score each direction by itself."""
    scores = {}
    for direction in dict.fromkeys(row["direction"] for row in rows):
        chosen = [row["direction"] == direction for row in rows]
        texts = {name: list(compress(each, chosen)) for name, each in trivial.items()}
        scores[direction] = _scores(cfg, list(compress(rows, chosen)), texts)
    return scores


def _scores(cfg: DictConfig, rows: list[dict], trivial: dict[str, list[str]]) -> dict:
    """Score these outputs, and each baseline's outputs."""
    hypotheses, references = ([row[key] for row in rows] for key in ("hypothesis", "reference"))
    metrics = evaluate(cfg.metrics, hypotheses, references, cfg.scoring, intervals=True)
    others = {name: evaluate(cfg.metrics, texts, references, cfg.scoring) for name, texts in trivial.items()}
    baseline_scores = {
        name: {label: each["score"] for label, each in scored.items()} for name, scored in others.items()
    }
    return {"sentences": len(rows), "metrics": metrics, "baselines": baseline_scores}


def score_lines(scores: dict) -> Iterator[str]:
    """Yield the metrics of each direction, each metric with its interval and what the baselines get, and signatures."""
    for direction, each in scores.get("directions", {}).items():
        yield f"{direction:6} " + ", ".join(f"{name} {value['score']:.2f}" for name, value in each["metrics"].items())
    for name, value in scores["metrics"].items():
        interval = " [{:.2f}, {:.2f}]".format(*value["interval"]) if "interval" in value else ""
        others = [f"{each[name]:.2f} {label}" for label, each in scores["baselines"].items() if name in each]
        line = f"{name:6} {value['score']:.2f}{interval}" + (f"  ({', '.join(others)})" if others else "")
        yield from textwrap.wrap(line, WIDTH, subsequent_indent="  ")
    yield from (f"{name:6} {value['signature']}" for name, value in scores["metrics"].items())


def perplexity(checkpoint: Path, data: str, subset: str, cpu: bool = False) -> dict:
    """Return the perplexity of the references as a score with signature: exp of the mean token NLL, including </s>.

    Compare only models with the same vocabulary. It equals what fairseq-validate prints.
    """
    model, _, task = load_model(checkpoint, data)
    task.load_dataset(subset)
    dataset = task.dataset(subset)
    cuda = torch.cuda.is_available() and not cpu
    total = log_likelihoods(model.cuda() if cuda else model, dataset).sum()
    tokens = int(dataset.target_sizes[dataset.ordered_indices()].sum())
    return {
        "score": round(math.exp(-total / tokens), 2),
        "signature": f"ppl|unit:token|eos:yes|tokens:{tokens}|vocabulary:{len(task.target_dictionary)}",
        "higher_is_better": False,
    }
