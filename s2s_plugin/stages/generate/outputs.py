"""The rows of ``outputs.jsonl``: items of the test set with their hypotheses."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from s2s_plugin.corpora.directions import untagged
from s2s_plugin.datasets.manifest import MODALITIES, prepared_items
from s2s_plugin.datasets.references import read_references
from s2s_plugin.errors import UserError
from s2s_plugin.inference.syntax import first_parsable
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.io import read_lines

Row = dict[str, Any]

LINE = re.compile(r"([SD])-(\d+)\t(.*)$")


class BestHypothesis(NamedTuple):
    """The best hypothesis of an item, as fairseq-generate prints it."""

    score: float  # log-probability, natural logarithm, normalized by length
    text: str  # detokenized
    source_length: int  # in tokens


def read_hypotheses(path: Path, output_parser: str = "none") -> dict[int, BestHypothesis]:
    """Read the best hypothesis of each item, by its number, from the output of fairseq-generate.

    With an ``output_parser`` it is the first that this parser accepts, see :func:`first_parsable`.
    """
    candidates: dict[int, list[tuple[float, str]]] = {}
    lengths: dict[int, int] = {}
    for match in filter(None, map(LINE.match, read_lines(path))):
        kind, number, rest = match[1], int(match[2]), match[3]
        if kind == "S":
            lengths[number] = len(rest.split())
        else:
            score, _, text = rest.partition("\t")
            candidates.setdefault(number, []).append((float(score) * math.log(2), text))  # fairseq prints base 2
    best = {}
    for number, ranked in candidates.items():
        score, text = ranked[first_parsable([text for _, text in ranked], output_parser)]
        best[number] = BestHypothesis(score, text, lengths.get(number, 0))
    return best


def make_rows(
    cfg: DictConfig, data: Path, subset: str, items: list[Row], outputs: dict[int, BestHypothesis]
) -> list[Row]:
    """Join items and outputs, and fill in what an output copies from its source.

    Raises:
        UserError: there is not exactly one output for each item.
    """
    if sorted(outputs) != list(range(len(items))):
        raise UserError(
            f"{data}, {subset}: expected one hypothesis for each of {len(items):,} items, got {len(outputs):,}; "
            "set dataset.skip_invalid_size_inputs_valid_test=false, and run again"
        )
    codec = PairCodec.load(data, cfg.task.source_lang, cfg.task.target_lang)
    pieces = []
    if codec is not None and codec.retrieval is not None:
        pieces = read_prepared(data / "pieces" / f"{subset}.{cfg.task.source_lang}")
    rows = []
    for number, item in enumerate(items):
        output = outputs[number]
        row = {"id": number, "hypothesis": output.text, "score": output.score, "length": output.source_length, **item}
        if item["source"] is None and not row["length"]:  # the file is unusable
            row["hypothesis"] = ""
        if codec is not None and item["source"] is not None:
            source = untagged(item["source"]) if "direction" in item else item["source"]
            row["hypothesis"] = codec.fill(output.text, item["source"]) if source else ""  # nothing comes of nothing
            if pieces:
                row["retrieved"] = codec.fill(codec.retrieved(pieces[number]), item["source"])
        rows.append(row)
    return rows


def merge_same_source(rows: list[Row]) -> list[Row]:
    """Return the first row of each source, a text or an item of media, with the references of all its rows."""
    merged: dict[str | int, Row] = {}  # items without a source stay apart
    for row in rows:
        first = merged.setdefault(row.get("item") or row["source"] or row["id"], {**row, "reference": []})
        first["reference"] += [row["reference"]] if isinstance(row["reference"], str) else row["reference"]
    return [{**row, "id": number} for number, row in enumerate(merged.values())]


def read_items(cfg: DictConfig, data: Path, subset: str) -> list[Row]:
    """Read the items of a split in corpus order: source text or media file, and reference or references.

    In a corpus of several directions each item has its direction, and the source keeps its tag.
    """
    source, target = cfg.task.source_lang, cfg.task.target_lang
    references = read_references(data, subset, source, target)
    if source in MODALITIES:
        media = prepared_items(data / f"{subset}.tsv")
        return [
            {"source": None, "item": item.id, "media": str(item.path), "speaker": item.speaker, "length": item.frames}
            | {"reference": reference}
            for item, reference in zip(media, references, strict=True)
        ]
    sources, directions = read_prepared(data / "text" / f"{subset}.{source}"), data / "text" / f"{subset}.direction"
    items: list[Row] = [{"source": s, "reference": r} for s, r in zip(sources, references, strict=True)]
    if directions.is_file():
        for item, direction in zip(items, read_prepared(directions), strict=True):
            item["direction"] = direction
    return items
