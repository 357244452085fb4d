"""The systems of ``search_speed.py`` and ``search_peers.py``: fairseq's own ``lstm``, and ours with the same outputs.

Trained ones are made on first use, in ``runs/bench/search``; untrained ones have random weights.
"""

from __future__ import annotations

import copy
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from common import ROOT, call, prepare, write_dictionaries
from fairseq import checkpoint_utils, tasks
from fairseq import options as fairseq_options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import FairseqTask
from omegaconf import OmegaConf
from torch import nn

from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.models.peers.fairseq_lstm import convert_lstm
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.build import build_search
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.precision import PRECISIONS
from s2s_plugin.stages.importing.run import model_config
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.utils.workers import Workers

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


def make_checkpoints() -> None:
    """Train stock's model and convert it to ours, unless they are there."""
    if not BEST.is_file():
        data = prepare(PREPARE).relative_to(ROOT)
        call(TRAIN.format(data=data, run=RUN.relative_to(ROOT)))
    if not OURS.is_file():
        call(f"s2s import-lstm {BEST.relative_to(ROOT)}")


@dataclass
class Models:
    """Two models with the same outputs, their task, and the text to translate; without text, random tokens."""

    stock: nn.Module
    ours: nn.Module
    task: FairseqTask
    codec: PairCodec | None = None
    references: list[str] | None = None


def load(subset: str) -> Models:
    """Return the trained models and a split of their data."""
    make_checkpoints()
    (stock,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(BEST)])
    (ours,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(OURS)])
    task.load_dataset(subset)
    data = Path(task.cfg.data)
    codec = PairCodec.load(data, task.cfg.source_lang, task.cfg.target_lang)
    references = (data / "text" / f"{subset}.{task.cfg.target_lang}").read_text().splitlines()
    return Models(stock, ours, task, codec, references)


def untrained() -> Models:
    """Return models of the same sizes with random weights."""
    with tempfile.TemporaryDirectory() as temporary:
        write_dictionaries(Path(temporary), 8000)
        parser = fairseq_options.get_training_parser()
        words = shlex.split(TRAIN.format(data=temporary, run=temporary))[1:]
        cfg = convert_namespace_to_omegaconf(fairseq_options.parse_args_and_arch(parser, input_args=words))
        task = tasks.setup_task(cfg.task)
    torch.manual_seed(1)
    stock = task.build_model(cfg.model)
    options, weights = convert_lstm(stock.state_dict(), cfg.model)
    ours = Seq2SeqModel.build_model(cast(Seq2SeqConfig, OmegaConf.create(model_config(options))), task)
    ours.load_state_dict(weights)
    length = torch.randint(8, 24, (1024,)).sort(descending=True).values.tolist()
    sources = [torch.randint(4, 8000, (n,)) for n in length]
    task.datasets["test"] = task.build_dataset_for_inference(sources, length)
    return Models(stock, ours, task)


@dataclass
class System:
    """A model and the search that uses it."""

    model: nn.Module
    search: Any
    workers: Workers | None = None

    def translate(self, batches: list[dict]) -> list[list[tuple[list[int], float]]]:
        """Return the best hypothesis of each sentence and its score."""
        return [self._one(batch) for batch in batches] if self.workers is None else self.workers.map(batches)

    def share(self, workers: int) -> System:
        """Return the same system on several processes."""
        return System(self.model, self.search, Workers(workers, self._one))

    def stop(self) -> None:
        if self.workers is not None:
            self.workers.stop()

    def _one(self, batch: dict) -> list[tuple[list[int], float]]:
        hypotheses = self.search.generate([self.model], batch)
        return [(best[0]["tokens"].tolist(), float(best[0]["score"])) for best in hypotheses]


def systems(models: dict[str, Any], dictionary, beam: int, length: dict[str, Any]) -> dict[str, System]:
    """Build every system for one beam."""
    built = {}
    for name, model in models.items():
        if name in (STOCK, STOCK_SEARCH):
            search: object = SequenceGenerator([model], dictionary, beam_size=beam, **length)
        else:
            options = BeamOptions(beam=beam, search_patience=1.0, **length)  # ends like stock's
            search = build_search([model], dictionary, options, name.split(", ")[1])
        built[name] = System(model, search)
    return built


def models_of(pair: Models, device: str) -> dict[str, nn.Module]:
    """Return a copy of the models for each system."""
    models = {STOCK: pair.stock, STOCK_SEARCH: pair.ours}
    models |= {f"ours, {precision}": copy.deepcopy(pair.ours) for precision in precisions(device)}
    for model in models.values():
        model.eval().to(device)
    return models


def precisions(device: str) -> list[str]:
    """Return the precisions that the search has on a device."""
    return [precision for precision in PRECISIONS if device == "cpu" or precision != "int8"]
