"""The stages one after another, each announced, timed and shown as a plain fairseq command."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora.directions import join_languages
from s2s_plugin.errors import UserError
from s2s_plugin.inference import chat
from s2s_plugin.inference import interactive as use
from s2s_plugin.inference.interactive import INTERACTIVE
from s2s_plugin.inference.syntax import check_parser
from s2s_plugin.scoring.evaluate import check_metrics
from s2s_plugin.search.options import BeamOptions, check_generation
from s2s_plugin.stages import commands
from s2s_plugin.stages import generate as generate_stage
from s2s_plugin.stages import prepare as prepare_stage
from s2s_plugin.stages import score as score_stage
from s2s_plugin.stages import train as train_stage
from s2s_plugin.stages.baselines import check_baselines
from s2s_plugin.stages.finetune import begin_from_other
from s2s_plugin.stages.schema import fairseq_config
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import clock, route_logs, say
from s2s_plugin.utils.io import read_json, write_text
from s2s_plugin.utils.run_dir import RunDir

ORDER = ("prepare", "train", "generate", "score", "report")
# Of a trained run these stand; a later stage need not be told them again.
STANDING = (
    "data",
    "subword",
    "audio",
    "video",
    "image",
    "prepared_dir",
    "task",
    "model",
    "checkpoint_metric",
    "metrics",
    "baselines",
    "perplexity",
    "output_parser",
    "scoring",
    "generation",
)
DATA = re.compile(r"(data|subword|prepared_dir)\b.*|task(\.data)?")  # what decides which data is meant


def run(stage: str, cfg: DictConfig, files: Sequence[str] = ()) -> float | None:
    """Run one stage, or all. ``files``: media files, or for pronounce words.

    Returns:
        the best validation metric where there has been training, for Hydra's sweepers.
    """
    folder = RunDir(_relative(Path(HydraConfig.get().runtime.output_dir)))
    cfg = DictConfig(OmegaConf.to_container(cfg, enum_to_str=True))  # Hydra has checked the types
    join_languages(cfg)
    recalled = stage in ("generate", "score", "report", *INTERACTIVE) and _recall(cfg, folder)
    cfg.run_dir = str(folder.folder)
    cfg.common.user_dir = commands.plugin_path()
    check_parser(cfg.output_parser)
    if stage in INTERACTIVE:
        route_logs(None, cfg.verbose)
        if stage == "translate":
            use.translate(cfg, folder)
        elif stage == "chat":
            chat.chat(cfg, folder)
        elif stage == "pronounce":
            use.pronounce(cfg, folder, files)
        else:
            use.recognize(cfg, folder, files)
        return None

    if cfg.finetune_from is not None and stage in ("prepare", "train", "run"):
        begin_from_other(cfg, folder, _named())
    if not recalled:
        cfg.task.data = str(prepare_stage.prepared_folder(cfg))
    _settle_average(cfg)
    fairseq = fairseq_config(cfg)
    BeamOptions.from_config(cfg.generation, cfg.task)  # refuse now what would fail after training
    check_generation(cfg.generation)
    check_metrics(cfg.metrics, cfg.scoring)
    check_baselines(cfg.baselines, cfg.data.source_lang)
    if stage in ("train", "run"):
        train_stage.check_same_run(fairseq, folder)
    if stage == "run":
        say(f"s2s app={cfg.app} name={cfg.name} on {_hardware(cfg)}: {folder.folder}")
    names = ORDER if stage == "run" else (stage,)
    for number, name in enumerate(names, start=1):
        interrupt.check()
        say(f"[{number}/{len(names)}] {name}")
        if name != "prepare":
            route_logs(folder.log, cfg.verbose)
            _check_prepared(cfg)
        command = _command(name, cfg, fairseq, folder)
        if command is not None:
            say(f"      $ {command}")
        if name == "train":
            write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
        if command is not None and name != "prepare":
            folder.save_command(name, command)
        started = time.monotonic()
        _do(name, cfg, fairseq, folder)
        say(f"      {name}: {clock(time.monotonic() - started)}")
    interrupt.check()
    if stage == "run":
        _show_result(cfg, folder)
    ended = read_json(folder.training_result)
    return ended["best"] if ended else None


def _recall(cfg: DictConfig, folder: RunDir) -> bool:
    """Take from the run's own config what the command line does not name.

    Returns:
        whether that settles the data, so that the files it was made from are not looked at again.
    """
    if not folder.config.is_file():
        return False
    stored = OmegaConf.to_container(OmegaConf.load(folder.config))
    assert isinstance(stored, dict)
    named = {"generation" if name == "search" else name for name in _named()}  # conf/search/ holds that group
    for group in STANDING:
        if group in named or group not in stored:  # runs of earlier versions have no baselines
            continue
        kept = stored[group]
        if isinstance(kept, dict):
            newer = OmegaConf.to_container(cfg[group])
            assert isinstance(newer, dict)
            said = {key: value for key, value in newer.items() if _is_named(f"{group}.{key!s}", named)}
            # An option that the run's version did not have is what it is by default; scorers have options of their own.
            kept = {**({} if group == "scoring" else newer), **kept, **said}
        cfg[group] = kept
    return not any(map(DATA.fullmatch, named))


def _is_named(option: str, named: Collection[str]) -> bool:
    """Whether it is among the names, or something in it is."""
    return any(f"{name}.".startswith(f"{option}.") for name in named)


def _settle_average(cfg: DictConfig) -> None:
    """With ``average`` there is no moving average, unless the command line asks for it.

    Raises:
        UserError: there is nothing to average, or both are asked for.
    """
    if cfg.average < 0 or cfg.average == 1:
        raise UserError(f"average is {cfg.average}: give at least 2 checkpoints, or 0 for none")
    if cfg.average and not {"ema", "ema.store_ema"} & _named():
        cfg.ema.store_ema = False
    if cfg.average and cfg.ema.store_ema:
        raise UserError(
            f"average={cfg.average} and ema.store_ema=true are two averages of the weights: set average=0 or "
            "ema.store_ema=false"
        )


def _named() -> set[str]:
    """What the command line names: ``model.dropout`` where a value is given, ``model`` where a choice is."""
    return {re.split(r"[=@]", word.lstrip("+~"))[0] for word in HydraConfig.get().overrides.task}


def _do(name: str, cfg: DictConfig, fairseq: DictConfig, folder: RunDir) -> None:
    if name == "prepare":
        prepare_stage.prepare(cfg)
    elif name == "train":
        train_stage.train(fairseq, folder, cfg.verbose, cfg.average)
    elif name == "generate":
        subset, several = fairseq.dataset.gen_subset, cfg.data.several_references
        generate_stage.generate(fairseq, folder, subset, cfg.metrics, cfg.workers, cfg.output_parser, several)
    elif name == "score":
        score_stage.score(cfg, folder)
    else:
        from s2s_plugin.report import write_report

        say(f"      {write_report(folder.folder)}")


def _check_prepared(cfg: DictConfig) -> None:
    """
    Raises:
        UserError: there is no prepared data, or a batch cannot hold its longest pair.
    """
    if not Path(cfg.task.data).is_dir():
        raise UserError(f"{cfg.task.data}: no such folder; run the prepare stage first")
    summary = prepare_stage.read_summary(Path(cfg.task.data))
    longest = summary["longest"]
    if summary.get("languages") == [cfg.task.target_lang, cfg.task.source_lang]:  # prepared for the other direction
        longest = {"source": longest["target"], "target": longest["source"]}
    if cfg.task.truncate_source:
        longest["source"] = min(longest["source"], cfg.task.max_source_positions)
    limits = {
        "dataset.max_tokens": (cfg.dataset.max_tokens, max(longest.values())),
        "task.max_source_positions": (cfg.task.max_source_positions, longest["source"]),
        "task.max_target_positions": (cfg.task.max_target_positions, longest["target"]),
    }
    for key, (limit, steps) in limits.items():
        if limit is not None and limit < steps:
            raise UserError(
                f"{key} is {limit} but the longest pair has {steps} steps: "
                f"raise it, or leave long pairs out with data.max_length={limit - 1}"
            )


def _command(name: str, cfg: DictConfig, fairseq: DictConfig, folder: RunDir) -> str | None:
    """The plain fairseq command of a stage, if it has one."""
    if name == "prepare":
        return commands.preprocess_command(prepare_stage.preparation(cfg)[1], Path(fairseq.task.data))
    if name == "train":
        return commands.train_command(fairseq)
    if name == "generate":
        return generate_stage.command(fairseq, folder)
    return None


def _show_result(cfg: DictConfig, folder: RunDir) -> None:
    """The last lines of a run: a few outputs, the scores, the report."""
    rows = folder.read_outputs()
    print()
    for row in random.Random(1).sample(rows, min(cfg.examples, len(rows))):
        references = [row["reference"]] if isinstance(row["reference"], str) else row["reference"]
        print(f"  source      {row['source'] or row['media']}")
        if "retrieved" in row:
            print(f"  retrieved   {row['retrieved']}")
        print("".join(f"  reference   {reference}\n" for reference in references), end="")
        print(f"  hypothesis  {row['hypothesis']}\n")
    scores = json.loads(folder.scores.read_text(encoding="utf-8"))
    for direction, found in scores.get("directions", {}).items():
        print(f"{direction:6} " + ", ".join(f"{name} {value['score']:.2f}" for name, value in found["metrics"].items()))
    for name, value in scores["metrics"].items():
        print(f"{name:6} {score_stage.with_interval(value)}  {value['signature']}")
    print(f"report {folder.report}")


def _hardware(cfg: DictConfig) -> str:
    if cfg.common.cpu or not torch.cuda.is_available():
        return f"{os.cpu_count()} CPU cores"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
