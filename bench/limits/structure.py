"""Lack of structural information: SCAN's new combinations of known words, and grammatical factors of words.

make limit-structure
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from common import ROOT
from omegaconf import OmegaConf

from limits import lab
from s2s_plugin.scoring import bootstrap
from s2s_plugin.scoring.evaluate import build_filled_scorer
from s2s_plugin.stages.compare import read_outputs

LAB = "structure"
SPLITS = {
    "a random split": "simple",
    "jump": "addprim_jump",
    "turn left": "addprim_turn_left",
    "around right": "template_around_right",
}
SCAN = "experiment=scan optimization.max_update=2500"
MODELS = {
    "plain": "",
    "recombined pairs": "data.recombine=2000",
    "syntactic attention": (
        "model.decoder_type=syntactic model.encoder_embed_dim=16 model.decoder_hidden_size=64 model.dropout=0.5 "
        "optimization.lr=[0.004]"
    ),
}
PUBLISHED = [
    {"model": "published: LSTM (Lake and Baroni 2018)", "a random split": "99.8", "jump": "1"},
    {"model": "published: recombined pairs (Andreas 2020)", "jump": "87"},
    {"model": "published: syntactic attention (Russin et al. 2019)", "jump": "91"},
]
# What does not bear on a split is not trained there.
LEFT_OUT = {("recombined pairs", "simple"), ("syntactic attention", "simple")}

TRANSLATION = (
    "app=nmt data=multi30k subword.joint=false subword.size=3000 model.share_all_embeddings=false "
    "model.encoder_embed_dim=96 model.encoder_hidden_size=192 model.decoder_embed_dim=96 model.decoder_hidden_size=192 "
    "optimization.max_update=800 metrics=[s2s_bleu,s2s_chrf] baselines=[]"
)
METRICS = ("BLEU", "chrF2")
FACTORS = {
    "words alone": "",
    "all four": "subword.annotate=[pos,lemma,morph,case]",
    "part of speech": "subword.annotate=[pos]",
    "tags in the target": "subword.target_tags=[pos]",
    "lemma": "subword.annotate=[lemma]",
    "case": "subword.annotate=[case]",
    "inflection": "subword.annotate=[morph]",
}


def scan(options: argparse.Namespace) -> dict[str, Any]:
    """Commands with words that training has in other combinations."""
    runs = lab.train(LAB, _scan_settings(), options)
    rows: list[dict[str, Any]] = []
    for model in MODELS:
        row: dict[str, Any] = {"model": model}
        for column, split in SPLITS.items():
            folders = runs.get(f"{split}-{model.replace(' ', '-')}", [])
            row[column] = [_exact(folder, unseen=False) for folder in folders] or ""
        rows.append(row)
    row = {"model": "recombined pairs; commands that they do not have"}
    for column, split in SPLITS.items():
        row[column] = [_exact(folder, unseen=True) for folder in runs.get(f"{split}-recombined-pairs", [])] or ""
    rows.append(row)
    rows += [{**dict.fromkeys(rows[0], ""), **row} for row in PUBLISHED]
    recipe = lab.recipe(
        runs,
        data="SCAN",
        split="official splits: what training has in fewer combinations than the test set",
        metric="share of outputs that are right in every action, in percent",
    )
    plot = {"title": "right outputs by split", "x": "what is new in the test set", "y": "right, %", "bars": True}
    return {"rows": rows, "recipe": recipe, "plot": plot | {"rows": list(MODELS)}}


def _scan_settings() -> dict[str, str]:
    return {
        f"{split}-{model.replace(' ', '-')}": f"{SCAN} data.options.split={split} {words}"
        for split in SPLITS.values()
        for model, words in MODELS.items()
        if (model, split) not in LEFT_OUT
    }


def _exact(folder: Path, unseen: bool) -> float:
    """Return the share of right outputs; ``unseen``: of the commands that are not in the training data as prepared."""
    prepared = ROOT / OmegaConf.load(folder / "config.yaml").task.data
    known = set((prepared / "text" / "train.en").read_text(encoding="utf-8").splitlines()) if unseen else set()
    rows = [row for row in read_outputs(folder) if row["source"] not in known]
    return 100 * statistics.mean(row["hypothesis"] == row["reference"] for row in rows)


def factors(options: argparse.Namespace) -> dict[str, Any]:
    """Translate with what a tagger says of each word, and without."""
    runs = lab.train(LAB, _translation_settings(), options)
    resampled = {name: sum(_resampled(folder) for folder in folders) / len(folders) for name, folders in runs.items()}
    rows = []
    for name in FACTORS:
        key, base = name.replace(" ", "-"), resampled["words-alone"]
        row: dict[str, Any] = {"model": name}
        for metric in METRICS:
            row[metric] = [lab.scores(folder)["metrics"][metric]["score"] for folder in runs[key]]
        if name != "words alone":
            low, high = bootstrap.interval(resampled[key] - base)
            row |= {
                "difference in BLEU": f"{low:+.1f} to {high:+.1f}",
                "p": f"{bootstrap.p_value(resampled[key], base):.3f}",
            }
        rows.append({**dict.fromkeys(("model", *METRICS, "difference in BLEU", "p"), ""), **row})
    recipe = lab.recipe(
        runs,
        data="Multi30k, German to English",
        split="official split, 1,000 test sentences",
        metric="BLEU and chrF; 95 % interval of the difference, and p, by paired bootstrap of the seeds' mean",
    )
    return {"rows": rows, "recipe": recipe}


def _translation_settings() -> dict[str, str]:
    return {name.replace(" ", "-"): f"{TRANSLATION} {words}" for name, words in FACTORS.items()}


def _resampled(folder: Path) -> Any:
    """Return the BLEU of the resamples of a run's outputs, which are the same for all runs."""
    rows = read_outputs(folder)
    texts, references = [row["hypothesis"] for row in rows], [row["reference"] for row in rows]
    return bootstrap.resampled_scores(build_filled_scorer("s2s_bleu", texts, references))


if __name__ == "__main__":
    lab.main(LAB, __doc__, {"scan": (scan, 3), "factors": (factors, 3)})
