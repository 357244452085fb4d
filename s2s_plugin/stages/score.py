"""Stage 4: metrics over the outputs, with intervals and signatures, beside the app's trivial baselines."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from fairseq import checkpoint_utils, utils
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import token_log_probs
from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.stages.baselines import baselines
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import read_json, write_json
from s2s_plugin.utils.run_dir import RunDir


def score(cfg: DictConfig, run: RunDir) -> None:
    """Write ``scores.json``.

    Raises:
        UserError: nothing was generated.
    """
    made, trained = read_json(run.generation_info), read_json(run.training_result) or {}
    if made is None or not run.outputs.is_file():
        raise UserError(f"{run.folder}: nothing to score; run the generate stage first")
    rows = run.read_outputs()
    languages = cfg.data.source_lang, cfg.data.target_lang
    trivial = baselines(cfg.baselines, Path(cfg.task.data), *languages, made["subset"], rows)
    scores: dict = {"subset": made["subset"], **_scores(cfg, rows, trivial)}
    if cfg.perplexity:
        scores["metrics"]["perplexity"] = perplexity(
            run.best_checkpoint(), cfg.task.data, made["subset"], cfg.common.cpu
        )
    several = "direction" in rows[0]
    if several:
        scores["directions"] = _by_direction(cfg, rows, trivial)
    scores |= {
        "search": {"beam": made["beam"], **made["search"]},
        "checkpoint": made["checkpoint"],
        "seed": trained.get("seed"),
        "parameters": trained.get("parameters"),
        "train_seconds": trained.get("seconds"),
        "updates": trained.get("updates"),
        "precision": trained.get("precision"),
    }
    write_json(run.scores, scores)
    for name, some in scores.get("directions", {}).items():
        _show(some, f"{name} ")
    _show(scores, "all " if several else "")


def _by_direction(cfg: DictConfig, rows: list[dict], trivial: dict[str, list[str]]) -> dict[str, dict]:
    """The scores of each direction alone."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["direction"], []).append(place)
    return {
        direction: _scores(
            cfg, [rows[i] for i in chosen], {name: [texts[i] for i in chosen] for name, texts in trivial.items()}
        )
        for direction, chosen in places.items()
    }


def _scores(cfg: DictConfig, rows: list[dict], trivial: dict[str, list[str]]) -> dict:
    """The metrics over these outputs, and over the baselines' in their place."""
    references = [row["reference"] for row in rows]
    return {
        "sentences": len(rows),
        "metrics": evaluate(cfg.metrics, [row["hypothesis"] for row in rows], references, cfg.scoring, intervals=True),
        "baselines": {
            name: {
                label: each["score"] for label, each in evaluate(cfg.metrics, texts, references, cfg.scoring).items()
            }
            for name, texts in trivial.items()
        },
    }


def _show(scores: dict, of: str) -> None:
    for name, value in scores["metrics"].items():
        beside = [f"{found[name]:.2f} {baseline}" for baseline, found in scores["baselines"].items() if name in found]
        compared = f"  ({', '.join(beside)})" if beside else ""
        say(f"      {of}{name} {with_interval(value)}  {value['signature']}{compared}")


def perplexity(checkpoint: Path, data: str, subset: str, cpu: bool = False) -> dict:
    """exp of the mean negative log-probability of the references' symbols, </s> among them, as a score with signature.

    It depends on what a symbol is: compare models with the same vocabulary. fairseq-validate finds the same.
    """
    models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], {"data": data})
    model = models[0].eval()
    cuda = torch.cuda.is_available() and not cpu
    if cuda:
        model.cuda()
    task.load_dataset(subset)
    dataset, pad = task.dataset(subset), task.target_dictionary.pad()
    order = dataset.ordered_indices()
    total, symbols = 0.0, 0
    for start in range(0, len(order), 32):
        batch = dataset.collater([dataset[i] for i in order[start : start + 32]])
        if cuda:
            batch = utils.move_to_cuda(batch)
        target = batch["target"]
        with torch.inference_mode():
            logits, _ = model(**batch["net_input"])
            log_probs = token_log_probs(logits, target)[target.ne(pad)]
        total, symbols = total - log_probs.double().sum().item(), symbols + log_probs.numel()
    return {
        "score": round(math.exp(total / symbols), 2),
        "signature": f"ppl|unit:symbol|eos:yes|symbols:{symbols}|vocabulary:{len(task.target_dictionary)}",
        "higher_is_better": False,
    }


def with_interval(metric: dict) -> str:
    """A metric's score and, where there is one, its interval: ``33.12 [31.90, 34.35]``."""
    between = " [{:.2f}, {:.2f}]".format(*metric["interval"]) if "interval" in metric else ""
    return f"{metric['score']:.2f}{between}"
