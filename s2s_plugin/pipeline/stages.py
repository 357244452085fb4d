"""The stages one after another, each announced, timed and shown as a plain fairseq command."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.pipeline import commands
from s2s_plugin.pipeline import generate as generate_stage
from s2s_plugin.pipeline import prepare as prepare_stage
from s2s_plugin.pipeline import score as score_stage
from s2s_plugin.pipeline import train as train_stage
from s2s_plugin.pipeline.config import fairseq_config
from s2s_plugin.pipeline.console import clock, route_logs, say
from s2s_plugin.pipeline.run import Run, write_text
from s2s_plugin.search.beam import BeamOptions

ORDER = ("prepare", "train", "generate", "score", "report")


def run(stage: str, cfg: DictConfig) -> float | None:
    """Run one stage, or all.

    Returns:
        the best validation metric where there has been training, for Hydra's sweepers.
    """
    run_folder = Run(_relative(Path(HydraConfig.get().runtime.output_dir)))
    OmegaConf.set_struct(cfg, False)
    cfg.run_dir = str(run_folder.folder)
    cfg.common.user_dir = commands.plugin_path()
    cfg.task.data = str(prepare_stage.prepared_folder(cfg)) if stage != "translate" else "unused"
    route_logs(None if stage in ("prepare", "translate") else run_folder.log, cfg.verbose)
    if stage == "translate":
        translate(cfg, run_folder)
        return None

    BeamOptions.of(cfg.generation)  # refuse now what would fail after training
    score_stage.check_metrics(cfg.metrics)
    names = ORDER if stage == "run" else (stage,)
    if stage == "run":
        say(f"s2s app={cfg.app} name={cfg.name} on {_hardware(cfg)}: {run_folder.folder}")
    fairseq = fairseq_config(cfg)
    if stage != "prepare":
        write_text(run_folder.config, OmegaConf.to_yaml(cfg, resolve=True))
    for number, name in enumerate(names, start=1):
        command = _command(name, cfg, fairseq, run_folder)
        say(f"[{number}/{len(names)}] {name}")
        if command:
            say(f"      $ {command}")
            if stage != "prepare":
                run_folder.note_command(name, command)
        started = time.monotonic()
        _stage(name)(cfg, fairseq, run_folder)
        say(f"      {name}: {clock(time.monotonic() - started)}")
    if stage == "run":
        _show_result(cfg, run_folder)
    return _best(run_folder) if run_folder.trained.is_file() else None


def _stage(name: str) -> Callable[[DictConfig, DictConfig, Run], object]:
    def report(cfg, fairseq, run_folder):
        from s2s_plugin.pipeline.report import write_report

        say(f"      {write_report(run_folder.folder)}")

    return {
        "prepare": lambda cfg, fairseq, run_folder: prepare_stage.prepare(cfg),
        "train": lambda cfg, fairseq, run_folder: train_stage.train(_prepared(fairseq), run_folder, cfg.verbose),
        "generate": lambda cfg, fairseq, run_folder: generate_stage.generate(
            _prepared(fairseq), run_folder, fairseq.dataset.gen_subset
        ),
        "score": lambda cfg, fairseq, run_folder: score_stage.score(cfg, run_folder, fairseq.dataset.gen_subset),
        "report": report,
    }[name]


def _prepared(fairseq: DictConfig) -> DictConfig:
    if not Path(fairseq.task.data).is_dir():
        raise UserError(f"{fairseq.task.data}: no such folder; run the prepare stage first")
    return fairseq


def _command(name: str, cfg: DictConfig, fairseq: DictConfig, run_folder: Run) -> str | None:
    """The plain fairseq command of a stage, if it has one."""
    if name == "prepare":
        return commands.preprocess_command(cfg, Path(fairseq.task.data))
    if name == "train":
        return commands.train_command(fairseq)
    if name == "generate":
        return generate_stage.command(fairseq, run_folder)
    return None


def translate(cfg: DictConfig, run_folder: Run) -> None:
    """Lines of standard input to lines of standard output, one by one."""
    from s2s_plugin.pipeline.translator import Translator

    translator = Translator(run_folder.best_checkpoint(), cfg.generation)
    prompt = sys.stdin.isatty()
    if prompt:
        say(f"{run_folder.folder}: type a sentence, end with Ctrl-D")
    for hypothesis in translator.stream(line.rstrip("\n") for line in sys.stdin):
        print(hypothesis.text, flush=True)


def _show_result(cfg: DictConfig, run_folder: Run) -> None:
    """The last lines of a run: a few outputs, the scores, the report."""
    rows = [json.loads(line) for line in run_folder.outputs.read_text(encoding="utf-8").splitlines()]
    print()
    for row in random.Random(1).sample(rows, min(cfg.examples, len(rows))):
        print(f"  source      {row['source']}\n  reference   {row['reference']}\n  hypothesis  {row['hypothesis']}\n")
    scores = json.loads(run_folder.scores.read_text(encoding="utf-8"))
    for name, value in scores["metrics"].items():
        print(f"{name:6} {value['score']:6.2f}  {value['signature']}")
    print(f"report {run_folder.folder / 'report.html'}")


def _best(run_folder: Run) -> float | None:
    return json.loads(run_folder.trained.read_text(encoding="utf-8"))["best"]


def _hardware(cfg: DictConfig) -> str:
    if cfg.common.cpu or not torch.cuda.is_available():
        return f"{os.cpu_count()} CPU cores"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
