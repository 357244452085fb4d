"""Run stages in order, each announced, timed and shown as a plain fairseq command."""

from __future__ import annotations

import os
import random
import shlex
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from fairseq.models import MODEL_DATACLASS_REGISTRY
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora.directions import join_languages
from s2s_plugin.errors import UserError
from s2s_plugin.explain.attention import show_attention
from s2s_plugin.explain.explain import explain
from s2s_plugin.inference import backtranslate, chat, datastore, interactive, lines
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.syntax import check_parser
from s2s_plugin.models.config import Seq2SeqConfig, check_values
from s2s_plugin.scoring.evaluate import check_metrics
from s2s_plugin.scoring.tokenizers import AUTO, tokenizer_of_language
from s2s_plugin.search.options import BeamOptions, check_generation
from s2s_plugin.stages.average import resolve_averaging
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.baselines import check_baselines
from s2s_plugin.stages.check.command import check
from s2s_plugin.stages.diagnose.stage import DiagnoseStage
from s2s_plugin.stages.finetune import init_from_run
from s2s_plugin.stages.generate.stage import GenerateStage
from s2s_plugin.stages.prepare.stage import PrepareStage
from s2s_plugin.stages.resume import IDENTIFYING, continue_config, overridden_keys, restore_config
from s2s_plugin.stages.run_data import decoding_data, decoding_job, is_own_data, locate_data
from s2s_plugin.stages.same_run import check_same_run
from s2s_plugin.stages.schema import changed_options, fairseq_config
from s2s_plugin.stages.score import ScoreStage, score_lines
from s2s_plugin.stages.train import TrainStage
from s2s_plugin.tasks.user_dir import import_named, user_dir
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import clock, note, route_logs, say, say_command
from s2s_plugin.utils.io import read_json, reserved
from s2s_plugin.utils.paths import relative_to_cwd


class ReportStage(Stage):
    """Write ``report.html``."""

    name = "report"

    def run(self, job: Job) -> None:
        from s2s_plugin.report.page import write_report  # imports matplotlib

        write_report(job.run_dir.folder, changed_options)


STAGES: tuple[Stage, ...] = (PrepareStage(), TrainStage(), GenerateStage(), ScoreStage(), ReportStage())
DIAGNOSE = DiagnoseStage()  # no part of a run
TRAINING_STAGES = ("prepare", "train", "run")  # the others take the config of the run

# What a trained run is used for. Each takes the config, the run's folder, and the files or words on the command line.
INTERACTIVE: dict[str, Callable[[DictConfig, RunDir, Sequence[str]], None]] = {
    "translate": lines.translate,
    "chat": lambda cfg, run_dir, _: chat.chat(cfg, run_dir),
    "datastore": datastore.datastore,
    "backtranslate": backtranslate.backtranslate,
    "pronounce": interactive.pronounce,
    "attention": show_attention,
    "explain": explain,
    **dict.fromkeys(interactive.MEDIA, interactive.recognize),
}


def run(stage: str, cfg: DictConfig, inputs: Sequence[str] = (), implied: Collection[str] = ()) -> float | None:
    """Run a stage, all of them (``run``), or an interactive use with its ``inputs``: files, words or sentences.

    ``implied``: keys on the command line that the user has not named.

    Returns:
        the best validation metric if there has been training, for Hydra's sweepers.
    """
    run_dir = RunDir(relative_to_cwd(Path(HydraConfig.get().runtime.output_dir)))
    cfg = DictConfig(OmegaConf.to_container(cfg, enum_to_str=True))  # Hydra has checked the types
    join_languages(cfg)
    overridden = overridden_keys() - set(implied)
    if cfg.common.user_dir is not None:
        import_named(cfg.common.user_dir)
    if stage == "check":
        check(cfg)
        return None
    cfg, restored = _restore(stage, cfg, run_dir, overridden)
    cfg.run_dir = str(run_dir.folder)
    check_parser(cfg.output_parser)
    if stage in INTERACTIVE:
        route_logs(None, cfg.verbose)
        cfg.common.user_dir = str(user_dir())
        if run_dir.config.is_file():
            cfg.task.data = str(decoding_data(cfg, Path(cfg.task.data), run_dir))
        INTERACTIVE[stage](cfg, run_dir, inputs)
        return None
    imported = _check_imported(stage, run_dir)
    with nullcontext() if stage == "prepare" else reserved(run_dir.folder):
        if cfg.finetune_from is not None and stage in TRAINING_STAGES and not restored:
            init_from_run(cfg, run_dir, overridden)
        cfg.common.user_dir = str(user_dir())
        chosen = imported or "task.data" in overridden
        if imported:
            cfg.task.data = str(run_dir.data)
        prepared, preparation = locate_data(cfg, restored, chosen, trains=stage in TRAINING_STAGES)
        if cfg.scoring.get("sacrebleu_tokenizer") == AUTO:  # task.eval_tokenizer follows
            cfg.scoring.sacrebleu_tokenizer = tokenizer_of_language(str(cfg.data.target_lang))
        own = not chosen and (stage in TRAINING_STAGES or is_own_data(prepared, run_dir))
        cfg.task.data = str(prepared)
        resolve_averaging(cfg, overridden)
        _run_stages(stage, Job(cfg, fairseq_config(cfg), run_dir, prepared, preparation), own)
    return run_dir.read_result().get("best")


def _restore(stage: str, cfg: DictConfig, run_dir: RunDir, overridden: set[str]) -> tuple[DictConfig, bool]:
    """Return the config with what the run's own has, and whether the run's data is meant."""
    if stage not in TRAINING_STAGES:
        return restore_config(cfg, run_dir, overridden, reads_data=stage not in INTERACTIVE)
    if stage == "prepare" and overridden <= IDENTIFYING:  # else of other data
        return restore_config(cfg, run_dir, (), reads_data=True)
    if stage != "prepare" and run_dir.training_settings.is_file() and run_dir.config.is_file():
        return continue_config(cfg, run_dir, overridden), True
    return cfg, False


def _run_stages(stage: str, job: Job, own: bool) -> None:
    """Check the options, and run the stage or all of them; ``own``: on the data of the run."""
    cfg, run_dir = job.cfg, job.run_dir
    BeamOptions.from_config(cfg.generation, cfg.task)  # these raise now what would fail after training
    check_generation(cfg.generation)
    check_metrics(cfg.metrics, cfg.scoring)
    check_baselines(cfg.baselines, cfg.data.source_lang)
    if stage in TRAINING_STAGES and issubclass(MODEL_DATACLASS_REGISTRY[cfg.model._name], Seq2SeqConfig):
        check_values(job.fairseq.model)
    if stage in ("train", "run"):
        check_same_run(job.fairseq, run_dir)  # before anything is prepared for it
    if stage == "run":
        say(f"s2s app={cfg.app} {shlex.quote(f'name={cfg.name}')} on {_hardware(cfg)}: {run_dir.folder}")
    stages = STAGES if stage == "run" else [each for each in (*STAGES, DIAGNOSE) if each.name == stage]
    for number, each in enumerate(stages, start=1):
        interrupt.check()
        say(f"[{number}/{len(stages)}] {each.name}")
        _run_stage(each, decoding_job(job) if own and each.name not in TRAINING_STAGES else job)
    interrupt.check()
    if stage == "run":
        _print_examples(cfg, run_dir)
    if stage in ("run", "score"):
        print("\n".join(score_lines(read_json(run_dir.scores))))
    if stage in ("run", "report", "diagnose") and run_dir.report.is_file():  # a packaged model has none
        print(f"report {run_dir.report}")


def _check_imported(stage: str, run_dir: RunDir) -> bool:
    """Return whether the run was imported.

    Raises:
        UserError: the stage requires what such a run lacks: training and test data.
    """
    toolkit = run_dir.read_origin()
    if toolkit is None or stage in ("prepare", DIAGNOSE.name):
        return toolkit is not None
    remedy = "s2s translate decodes, s2s diagnose measures on a test set of yours"
    if stage in TRAINING_STAGES:
        remedy = f"give this run another name=...; finetune_from={run_dir.folder.name} trains on from that model"
    raise UserError(f"{run_dir.folder} is a model of {toolkit}, without data: {remedy}")


def _run_stage(stage: Stage, job: Job) -> None:
    stage.begin(job)
    if (command := stage.command(job)) is not None:
        say_command(command)
    started = time.monotonic()
    done = stage.is_done(job)
    if not done:
        stage.run(job)
    if (summary := stage.summary(job)) is not None:
        note(f"up to date, skipping: {summary}" if done else summary)
    say(f"      {stage.name}: {clock(time.monotonic() - started)}")


def _print_examples(cfg: DictConfig, run_dir: RunDir) -> None:
    rows = run_dir.read_outputs()
    print()
    for row in random.Random(1).sample(rows, min(cfg.examples, len(rows))):
        print(f"  test item   no. {row['id']}, line {row['id'] + 1} of outputs.jsonl")
        print(f"  source      {row['media'] if row['source'] is None else row['source']}")
        if "retrieved" in row:
            print(f"  retrieved   {row['retrieved']}")
        for reference in [row["reference"]] if isinstance(row["reference"], str) else row["reference"]:
            print(f"  reference   {reference}")
        print(f"  hypothesis  {row['hypothesis']}\n")


def _hardware(cfg: DictConfig) -> str:
    if cfg.common.cpu or not torch.cuda.is_available():
        return f"{os.cpu_count()} CPU cores"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
