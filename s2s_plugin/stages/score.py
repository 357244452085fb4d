"""Stage 4: metrics over the outputs, with intervals and signatures, beside the app's trivial baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from fairseq import checkpoint_utils, utils
from fairseq.registry import REGISTRIES
from fairseq.scoring import SCORER_REGISTRY, build_scorer
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.scoring import bootstrap
from s2s_plugin.scoring.base import Scorer
from s2s_plugin.scoring.translation import SacrebleuScorer
from s2s_plugin.stages.baselines import baselines
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import read_json, write_json
from s2s_plugin.utils.run_dir import Run


def score(cfg: DictConfig, run: Run) -> None:
    """Write ``scores.json``.

    Raises:
        UserError: nothing was generated.
    """
    made, trained = read_json(run.generated), read_json(run.trained) or {}
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
        with torch.inference_mode():
            scores = model.get_normalized_probs(model(**batch["net_input"]), log_probs=True)  # B x T x V
        found = scores.gather(2, batch["target"].unsqueeze(2)).squeeze(2)[batch["target"].ne(pad)]
        total, symbols = total - found.double().sum().item(), symbols + found.numel()
    return {
        "score": round(math.exp(total / symbols), 2),
        "signature": f"ppl|unit:symbol|eos:yes|symbols:{symbols}|vocabulary:{len(task.target_dictionary)}",
        "higher_is_better": False,
    }


def check_metrics(names: Sequence[str], options: DictConfig | None = None) -> None:
    """
    Args:
        options: see :func:`filled_scorer`.

    Raises:
        UserError: a metric is not a registered scorer that knows its signature, or needs what is not here.
    """
    known = sorted(name for name, scorer in SCORER_REGISTRY.items() if hasattr(scorer, "evaluate"))
    for name in names:
        if name not in known:
            raise UserError(f"metrics has {name}, which is not one of: {', '.join(known)}")
        scorer = filled_scorer(name, [], [], options)
        if isinstance(scorer, SacrebleuScorer):
            scorer.metric()


def evaluate(
    scorers: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str | list[str]],
    options: DictConfig | None = None,
    intervals: bool = False,
) -> dict[str, dict]:
    """Corpus score, signature and direction of each registered scorer, by the metric's usual name.

    Args:
        options: fairseq's ``scoring`` group, see :func:`filled_scorer`.
        intervals: say also between what the score lies in 95 % of the bootstrap's resamples.
    """
    result = {}
    for name in scorers:
        scorer = filled_scorer(name, hypotheses, references, options)
        value, signature = scorer.evaluate()
        result[scorer.label] = {
            "score": round(value, 2),
            "signature": signature,
            "higher_is_better": scorer.higher_is_better,
        }
        if intervals and not scorer.repeats_count:
            low, high = bootstrap.interval(bootstrap.resampled_scores(scorer))
            result[scorer.label] |= {"interval": [round(low, 2), round(high, 2)], "bootstrap": bootstrap.SIGNATURE}
    return result


def filled_scorer(
    name: str, hypotheses: Sequence[str], references: Sequence[str | list[str]], options: DictConfig | None = None
) -> Scorer:
    """A registered scorer with these items.

    ``options`` are fairseq's ``scoring`` group: those of one scorer, and of all others that have the same.
    """
    kinds = REGISTRIES["scoring"]["dataclass_registry"]
    if options is not None and kinds[name] is kinds[options._name]:
        scorer = build_scorer(DictConfig({**options, "_name": name}), None)
    else:
        scorer = build_scorer(name, None)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        scorer.add_string(reference, hypothesis)
    return scorer


def with_interval(metric: dict) -> str:
    """A metric's score and, where there is one, its interval: ``33.12 [31.90, 34.35]``."""
    between = " [{:.2f}, {:.2f}]".format(*metric["interval"]) if "interval" in metric else ""
    return f"{metric['score']:.2f}{between}"
