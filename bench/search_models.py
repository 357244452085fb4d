"""The models of ``search_speed.py`` and ``search_peers.py``: fairseq's own ``lstm``, and ours with the same outputs.

Trained ones are made where they are missing, in ``runs/bench/search``; untrained ones have random weights.
"""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from common import write_dictionaries
from fairseq import checkpoint_utils, tasks
from fairseq import options as fairseq_options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import FairseqTask
from omegaconf import OmegaConf
from torch import nn

from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.models.import_lstm import config_of, parameters_of
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.precision import PRECISIONS
from s2s_plugin.text.codec import PairCodec

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
RUN = ROOT / "runs" / "bench" / "search"
BEST = RUN / "checkpoint_best.pt"  # stock's
OURS = BEST.with_suffix(".s2s.pt")  # as s2s import-lstm names it
STOCK, STOCK_SEARCH = "stock lstm", "stock search, our model"
PREPARE = "s2s prepare app=nmt subword.size=8000"
TRAIN = (
    "fairseq-train {data} --user-dir s2s_plugin --task s2s --precision auto --arch lstm --encoder-bidirectional "
    "--encoder-layers 2 --encoder-embed-dim 512 --encoder-hidden-size 256 --decoder-layers 2 --decoder-embed-dim 512 "
    "--decoder-hidden-size 512 --decoder-out-embed-dim 512 --share-all-embeddings --dropout 0.2 "
    "--criterion s2s_cross_entropy --label-smoothing 0.1 --optimizer adam --adam-betas '(0.9, 0.98)' --lr 0.002 "
    "--lr-scheduler inverse_sqrt --warmup-updates 200 --clip-norm 1.0 --max-tokens 2000 --max-update 2000 --seed 1 "
    "--eval-metric bleu --best-checkpoint-metric bleu --maximize-best-checkpoint-metric --validate-interval 1000000 "
    "--validate-interval-updates 500 --save-interval-updates 500 --keep-interval-updates 1 --no-epoch-checkpoints "
    "--num-workers 0 --log-format json --save-dir {run}"
)


def call(command: str) -> str:
    """Run a command of this environment; what it says."""
    print(f"$ {command}", file=sys.stderr, flush=True)
    words = shlex.split(command)
    done = subprocess.run([str(BIN / words[0]), *words[1:]], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def make_checkpoints() -> None:
    """Stock's model, and ours beside it, where they are missing."""
    if not BEST.is_file():
        data = re.findall(r"symbols, in (\S+)$", call(PREPARE), re.MULTILINE)[0]
        call(TRAIN.format(data=data, run=RUN.relative_to(ROOT)))
    if not OURS.is_file():
        call(f"s2s import-lstm {BEST.relative_to(ROOT)}")


@dataclass
class Trained:
    """Models that give the same outputs, their task, and the text to translate; without text, random symbols."""

    stock: nn.Module
    ours: nn.Module
    task: FairseqTask
    codec: PairCodec | None = None
    references: list[str] | None = None


def load(subset: str) -> Trained:
    """The trained ones, and a split of their data."""
    make_checkpoints()
    (stock,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(BEST)])
    (ours,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(OURS)])
    task.load_dataset(subset)
    data = Path(task.cfg.data)
    codec = PairCodec.load(data, task.cfg.source_lang, task.cfg.target_lang)
    references = (data / "text" / f"{subset}.{task.cfg.target_lang}").read_text().splitlines()
    return Trained(stock, ours, task, codec, references)


def untrained() -> Trained:
    """Random weights of the same sizes, for whoever cannot wait."""
    with tempfile.TemporaryDirectory() as made:
        write_dictionaries(Path(made), 8000)
        parser = fairseq_options.get_training_parser()
        words = shlex.split(TRAIN.format(data=made, run=made))[1:]
        cfg = convert_namespace_to_omegaconf(fairseq_options.parse_args_and_arch(parser, input_args=words))
        task = tasks.setup_task(cfg.task)
    torch.manual_seed(1)
    stock = task.build_model(cfg.model)
    ours = Seq2SeqModel.build_model(cast(Seq2SeqConfig, OmegaConf.create(config_of(cfg.model))), task)
    ours.load_state_dict(parameters_of(stock.state_dict(), cfg.model))
    length = torch.randint(8, 24, (1024,)).sort(descending=True).values.tolist()
    sources = [torch.randint(4, 8000, (n,)) for n in length]
    task.datasets["test"] = task.build_dataset_for_inference(sources, length)
    return Trained(stock, ours, task)


def models_of(found: Trained, device: str) -> dict[str, nn.Module]:
    """By the names of the systems."""
    models = {STOCK: found.stock, STOCK_SEARCH: found.ours}
    models |= {f"ours, {precision}": copy.deepcopy(found.ours) for precision in precisions(device)}
    for model in models.values():
        model.eval().to(device)
    return models


def precisions(device: str) -> list[str]:
    return [precision for precision in PRECISIONS if device == "cpu" or precision != "int8"]
