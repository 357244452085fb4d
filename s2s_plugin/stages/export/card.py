"""The model card: README.md of a packaged model, in the form that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.weights import count_parameters
from s2s_plugin.utils.io import read_json

PIPELINES = {  # of the hub
    "nmt": "translation",
    "summarize": "summarization",
    "asr": "automatic-speech-recognition",
    "caption": "image-to-text",
    "lipread": "video-text-to-text",
}
PURPOSES = {
    "nmt": "Translates text from {source} to {target}.",
    "chatbot": "Replies to a turn of a conversation.",
    "summarize": "Summarizes a text in a few words.",
    "code": "Writes the command or program for a request in words.",
    "g2p": "Spells the pronunciation of a word.",
    "asr": "Transcribes recordings of speech.",
    "lipread": "Reads the lips of a speaker in a silent video.",
    "caption": "Describes a picture.",
}
CALLS = {"text": '["..."]', "audio": '"my.wav"', "video": '"my.mp4"', "image": '"my.jpg"'}
LANGUAGE = re.compile(r"[a-z]{2,3}")
EXAMPLES = 3  # shown
MAX_CELL = 200  # letters


def model_card(
    run_dir: RunDir, cfg: DictConfig, about: Mapping[str, Any], examples: Sequence[Mapping[str, str]], weights: bytes
) -> str:
    """Return the card of a run, as Markdown.

    Args:
        run_dir: the run.
        cfg: of the run.
        about: what ``s2s.json`` says.
        examples: inputs and outputs.
        weights: as they are packed.
    """
    scores, result = _scores(run_dir), run_dir.read_result()
    summary = read_json(run_dir.data_summary) or {}
    source, target = about["languages"]
    license_text = str(summary.get("license") or "unknown")
    template = _environment().get_template("card.md.j2")
    return template.render(
        name=f"{cfg.app}-{cfg.name}",
        app=cfg.app,
        purpose=PURPOSES.get(cfg.app, "Turns {source} into {target}.").format(source=source, target=target),
        pipeline=PIPELINES.get(cfg.app, "text2text-generation"),
        languages=[each for each in about["languages"] if LANGUAGE.fullmatch(each)],
        license=license_text,
        license_id=license_text.lower() if re.fullmatch(r"[\w.-]+", license_text) else "other",
        call=CALLS[about["modality"]],
        source=source,
        target=target,
        architecture=f"{cfg.model.decoder_type} with {cfg.model.attention} attention",
        precision=about["precision"],
        megabytes=len(weights) / 1e6,
        toolkit=run_dir.read_origin(),
        data=cfg.data.name,
        pairs=summary.get("pairs", {}).get("train"),
        parameters=result.get("parameters") or count_parameters(weights),
        updates=result.get("updates"),
        seconds=result.get("seconds", 0),
        beam=cfg.generation.beam,
        examples=[] if about["modality"] != "text" else examples[:EXAMPLES],
        **scores,
    )


def _scores(run_dir: RunDir) -> dict[str, Any]:
    scores = read_json(run_dir.scores) or {}
    metrics = [
        {
            "name": name,
            "score": value["score"],
            "interval": " to ".join(map(str, value.get("interval", ()))),
            "signature": value["signature"].replace("|", r"\|"),
        }
        for name, value in scores.get("metrics", {}).items()
    ]
    return {"metrics": metrics, "sentences": scores.get("sentences", 0)}


def _environment() -> Environment:
    loader = PackageLoader("s2s_plugin.stages.export", "")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 (Markdown)
    environment.filters["cell"] = _cell
    return environment


def _cell(text: str) -> str:
    """Return a text for a cell of a Markdown table."""
    return " ".join(text.split())[:MAX_CELL].replace("|", r"\|").replace("<", "&lt;")
