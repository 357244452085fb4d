"""Stage 3: the test set through fairseq's generation, hypotheses in corpus order."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fairseq import tasks
from fairseq.dataclass.configs import GenerationConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora.directions import untagged
from s2s_plugin.datasets.manifest import MODALITIES, read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.inference.attention import attention_examples
from s2s_plugin.inference.syntax import first_parsable
from s2s_plugin.inference.translator import (
    BATCHES_PER_WORKER,
    MAX_TOKENS,
    Translator,
    check_checkpoint,
    generation_key,
)
from s2s_plugin.inference.workers import Workers, resolve_workers
from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.stages.commands import generate_command
from s2s_plugin.stages.train import check_dictionaries
from s2s_plugin.tasks.config import EXACT_SEARCH, search_options
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import fingerprint, read_json, read_lines, write_json, write_text
from s2s_plugin.utils.run_dir import RunDir

DEFAULT_SEARCH = {name: field.default for name, field in GenerationConfig.__dataclass_fields__.items()}
LINE = re.compile(r"^([SHD])-(\d+)\t(.*)$")
NUMBERED = re.compile(rb"[A-Z]-(\d+)")
COMPARED = 200  # validation items by which a cheaper precision is judged


def generate(
    cfg: DictConfig,
    run: RunDir,
    subset: str,
    metrics: Sequence[str],
    workers: int = 1,
    check: str = "none",
    several_references: bool = False,
) -> None:
    """Write ``outputs.jsonl`` and ``<subset>.hyp``, unless this checkpoint with this search has done so.

    Args:
        cfg: fairseq's.
        run: whose checkpoint generates.
        subset: valid or test.
        metrics: names of scorers, which tell what a faster search costs.
        workers: number of processes on a CPU; 0: as many as pay.
        check: parser that an output should pass; the first hypothesis of the beam that does is taken.
        several_references: pairs of the same source are one item.

    Raises:
        UserError: there is no usable checkpoint for this data; fairseq gave other than one hypothesis per item; only a
            shard is asked for.
    """
    if cfg.dataset.num_shards != 1:
        raise UserError(
            f"dataset.num_shards={cfg.dataset.num_shards}: a shard is not the whole, which s2s generate makes; share "
            "the work with workers=N, or between machines with fairseq-generate --num-shards"
        )
    checkpoint, data, beam = run.best_checkpoint(), Path(cfg.task.data), cfg.generation.beam
    check_checkpoint(checkpoint)
    check_dictionaries(cfg, run)
    search = {key: value for key, value in cfg.generation.items() if value != DEFAULT_SEARCH[key]}
    search |= search_options(cfg.task)
    made = {
        "subset": subset,
        "checkpoint": checkpoint.name,
        "search": search,
        "beam": beam,
        "key": fingerprint(checkpoint, str(data), subset, *generation_key(cfg)),
    }
    if check != "none":
        made["search"] = search = {**search, "check": check}
    if several_references:
        made["several_references"] = True
    if read_json(run.generation_info) == made and run.outputs.is_file():
        say(f"      done before: {run.outputs}")
        return

    run.generation_info.unlink(missing_ok=True)
    run.scores.unlink(missing_ok=True)
    run.search_comparison.unlink(missing_ok=True)
    partial = run.folder / "generate.partial"
    shutil.rmtree(partial, ignore_errors=True)
    items = read_items(cfg, data, subset)
    processes = resolve_workers(workers, len(items), cfg.common.cpu or not torch.cuda.is_available())
    if processes > 1:
        batches = count_batches(cfg, subset)
        processes = max(1, min(processes, batches if workers else batches // BATCHES_PER_WORKER))
    printed = _search(cfg, checkpoint, partial, subset, processes, cfg.generation.nbest if check == "none" else beam)
    found = read_hypotheses(printed, check)
    if sorted(found) != list(range(len(items))):
        shutil.rmtree(partial)
        raise UserError(
            f"{data}, {subset}: {len(found):,} hypotheses for {len(items):,} references; "
            "set dataset.skip_invalid_size_inputs_valid_test=false, and run again"
        )
    codec = PairCodec.load(data, cfg.task.source_lang, cfg.task.target_lang)
    if codec is not None and codec.retrieval is not None:
        for item, symbols in zip(items, read_lines(data / "pieces" / f"{subset}.{cfg.task.source_lang}"), strict=True):
            item["retrieved"] = codec.fill(codec.retrieved(symbols), item["source"])
    rows: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        score, hypothesis, length = found[index]
        if codec is not None and item["source"] is not None:
            hypothesis = codec.fill(hypothesis, item["source"])
        rows.append({"id": index, "hypothesis": hypothesis, "score": score, "length": length, **item})
    if several_references:
        rows = one_per_source(rows)
    write_text(run.attention, attention_examples(cfg, checkpoint, data, rows, run))
    for row in rows:
        if "direction" in row:
            row["source"] = untagged(row["source"])
    write_text(run.outputs, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(run.folder / f"{subset}.hyp", "".join(row["hypothesis"] + "\n" for row in rows))
    shutil.move(printed, run.folder / printed.name)
    shutil.rmtree(partial)
    if any(cfg.task[name] != plain for name, plain in EXACT_SEARCH.items()) and not cfg.generation.score_reference:
        loss = cost_of_speed(cfg, checkpoint, data, metrics)
        write_json(run.search_comparison, loss)
        scores = loss["metrics"].items()
        beside = ", ".join(f"{name} {each['score']:.2f}, not {each['plain']:.2f}" for name, each in scores)
        say(f"      {loss['search']}: {loss['same']} of {loss['sentences']} validation outputs as without; {beside}")
    write_json(run.generation_info, made)


def count_batches(cfg: DictConfig, subset: str) -> int:
    """Into how many batches fairseq-generate cuts the subset."""
    task = tasks.setup_task(cfg.task)
    task.load_dataset(subset)
    dataset = task.dataset(subset)
    sizes = {"max_tokens": cfg.dataset.max_tokens or MAX_TOKENS, "max_sentences": cfg.dataset.batch_size}
    return len(dataset.batch_by_size(dataset.ordered_indices(), **sizes))


def _search(cfg: DictConfig, checkpoint: Path, partial: Path, subset: str, workers: int, nbest: int) -> Path:
    """What fairseq-generate prints, items in corpus order, however many processes share the work; in ``partial``."""

    def shard(number: int) -> Path:
        from fairseq_cli import generate as fairseq_generate

        folder = partial / str(number)
        arguments = _for_generation(cfg, path=str(checkpoint), results_path=str(folder))
        arguments.generation.nbest = nbest
        arguments.task.num_shards, arguments.task.shard_id = workers, number
        arguments.common.log_format = "tqdm" if sys.stderr.isatty() and number == 0 else "none"
        if workers > 1:
            arguments.dataset.num_workers = 0  # a process of ours may have none of its own
        fairseq_generate.main(arguments)
        return folder / f"generate-{subset}.txt"

    if workers == 1:
        parts = [shard(0)]
    else:
        with Workers(workers, shard) as processes:
            parts = processes.map(range(workers))
    lines = [line for part in parts for line in part.read_bytes().split(b"\n")]
    numbered = [(int(match[1]), line) for line in lines if (match := NUMBERED.match(line))]
    numbered.sort(key=lambda pair: pair[0])
    whole = partial / f"generate-{subset}.txt"
    whole.write_bytes(b"".join(line + b"\n" for _, line in numbered))
    return whole


def cost_of_speed(cfg: DictConfig, checkpoint: Path, data: Path, metrics: Sequence[str]) -> dict[str, Any]:
    """Compare the outputs with those of exact search, on validation items that are spread over the set."""
    plain = cfg.task.copy()
    plain.update(EXACT_SEARCH)
    texts: list[list[str]] = []
    for task in (plain, cfg.task):
        translator = Translator(
            checkpoint, cfg.generation, task, data=data, cpu=cfg.common.cpu, max_tokens=cfg.dataset.max_tokens
        )
        dataset = translator.dataset("valid")
        chosen = range(0, len(dataset), max(1, len(dataset) // COMPARED))[:COMPARED]
        texts.append([found.text for found in translator.decode([dataset[i]["source"] for i in chosen])])
    references = [translator.task.text(dataset[i]["target"]) for i in chosen]
    exact, cheap = (evaluate(metrics, outputs, references, cfg.scoring) for outputs in texts)
    found: dict[str, Any] = {
        "search": ", ".join(
            f"{name}={cfg.task[name]}" for name, value in EXACT_SEARCH.items() if cfg.task[name] != value
        ),
        "sentences": len(references),
        "same": sum(mine == other for mine, other in zip(*texts, strict=True)),
        "metrics": {name: {"score": each["score"], "plain": exact[name]["score"]} for name, each in cheap.items()},
    }
    return found


def command(cfg: DictConfig, run: RunDir) -> str:
    """The plain command of this stage."""
    return generate_command(_for_generation(cfg, path=str(run.best_checkpoint())))


def _for_generation(cfg: DictConfig, **common_eval: str) -> DictConfig:
    """The training's config with what fairseq-generate wants besides: one process that sees the whole set."""
    besides = {
        "common_eval": common_eval,
        "task": {"eval_metric": "none"},
        "distributed_training": {"distributed_world_size": 1},
    }
    if cfg.generation.replace_unk is not None:
        besides["dataset"] = {"dataset_impl": "raw"}  # fairseq insists, whatever the text is read from
    merged = OmegaConf.merge(cfg, besides)
    assert isinstance(merged, DictConfig)
    return merged


def read_hypotheses(path: Path, check: str = "none") -> dict[int, tuple[float, str, int]]:
    """Best hypothesis of each item in fairseq-generate's output.

    Args:
        path: the output.
        check: parser that a hypothesis should pass, see :func:`first_parsable`.

    Returns:
        item number to score (natural log, length-normalised), detokenised text and source length in symbols.
    """
    candidates: dict[int, list[tuple[float, str]]] = {}
    lengths: dict[int, int] = {}
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            match = LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            kind, number, rest = match[1], int(match[2]), match[3]
            if kind == "S":
                lengths[number] = len(rest.split())
            elif kind == "D":
                score, _, text = rest.partition("\t")
                candidates.setdefault(number, []).append((float(score) * math.log(2), text))  # from base 2
    found = {}
    for number, ranked in candidates.items():
        score, text = ranked[first_parsable([text for _, text in ranked], check)]
        found[number] = (score, text, lengths.get(number, 0))
    return found


def one_per_source(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of each source, text or item of media, with the references of all its rows."""
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        first = merged.setdefault(row.get("item", row["source"]), {**row, "reference": []})
        first["reference"] += [row["reference"]] if isinstance(row["reference"], str) else row["reference"]
    return [{**row, "id": number} for number, row in enumerate(merged.values())]


def read_items(cfg: DictConfig, data: Path, subset: str) -> list[dict[str, Any]]:
    """What the outputs are written beside, in corpus order: source text or media file, and the reference(s).

    Of several directions each item says its own; the source has its tag still.
    """
    source, target = cfg.task.source_lang, cfg.task.target_lang
    if source in MODALITIES:
        _, media = read_manifest(data / f"{subset}.tsv")
        return [
            {
                "source": None,
                "item": item.id,
                "media": str(item.path),
                "speaker": item.speaker,
                "length": item.frames,
                "reference": item.texts[0] if len(item.texts) == 1 else list(item.texts),
            }
            for item in media
        ]
    sources, references = (read_lines(data / "text" / f"{subset}.{lang}") for lang in (source, target))
    several = data / "text" / f"{subset}.references.tsv"
    found = [line.split("\t") for line in read_lines(several)] if several.is_file() else references
    pairs = zip(sources, found, strict=True)
    items: list[dict[str, Any]] = [{"source": text, "reference": reference} for text, reference in pairs]
    labels = data / "text" / f"{subset}.direction"
    if labels.is_file():
        for item, direction in zip(items, read_lines(labels), strict=True):
            item["direction"] = direction
    return items
