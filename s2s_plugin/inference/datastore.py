"""Make a datastore of the decoder states of a run: ``s2s datastore``; show which of them spoke for an output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import utils
from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.corpora.directions import tagger
from s2s_plugin.corpora.parallel import read_files
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import MAX_TOKENS, Translator
from s2s_plugin.inference.workers import batches
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.knn.datastore import INDEX, MIN_INDEXED, Datastore, write_datastore
from s2s_plugin.search.knn.generator import neighbors
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import note, say
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.progress import Progress


@dataclass(frozen=True)
class Neighbor:
    """A state near that of an output token."""

    weight: float  # share of P_kNN
    token: str  # that followed it
    before: str  # target text before the token
    after: str  # target text after it
    source: str | None  # of the pair; None if it is no text


def datastore(cfg: DictConfig, run: RunDir, files: Sequence[str]) -> None:
    """Write the states at each target token of some pairs to ``task.knn``, by default to the folder of the run.

    ``files``: a table, or a file of sources and one of targets; none are the pairs that the run was trained on.

    Raises:
        UserError: the pairs cannot be read, or none is short enough.
    """
    folder = run.folder / "datastore" if cfg.task.knn is None else Path(cfg.task.knn)
    data = Path(cfg.task.data if files else run.read_settings().get("task.data", cfg.task.data))
    if not data.is_dir():
        raise UserError(f"{data}: the training pairs are gone; prepare them again, or name files of pairs")
    model, _, task = load_model(run.best_checkpoint(), data)
    model.eval()
    if torch.cuda.is_available() and not cfg.common.cpu:
        model.cuda()
    sources: Sequence[str] | None
    if files:
        if task.modality != "text":
            raise UserError(f"files of pairs require a text model, and {run.folder} reads {task.modality}")
        dataset, sources = _read(cfg, task, files)
    else:
        task.load_dataset("train")
        dataset, text = task.dataset("train"), data / "text" / f"train.{task.cfg.source_lang}"
        sources = read_prepared(text) if text.is_file() else None
    assert dataset.targets is not None
    targets = [dataset.targets[number].long() for number in range(len(dataset))]
    made = write_datastore(folder, model, targets, _states(model, dataset), sources)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    note(f"{len(made.values):,} states of {len(targets):,} pairs, {size:,.0f} MB")
    if len(made.values) >= MIN_INDEXED and not (folder / INDEX).is_file():
        note(
            "there is no index, so that each step compares with all states: pip install 's2s-plugin[knn]' makes it fast"
        )
    print(f"datastore {folder}")


def _read(cfg: DictConfig, task: Any, files: Sequence[str]) -> tuple[PairDataset, list[str]]:
    """Return the pairs of files as the model reads them, and their sources as text."""
    several = "+" in f"{task.cfg.source_lang}{task.cfg.target_lang}"
    add_tag = tagger(task.source_dictionary.symbols, cfg.translate_to, several)
    codec, limits = task.codec, (task.cfg.max_source_positions, task.cfg.max_target_positions)
    texts: list[str] = []
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    pairs = read_files(cfg, files)
    for source, target in pairs:
        source = add_tag(source)
        pieces = (source, target)
        if codec is not None:
            pieces = codec.encode(source, own=target), codec.encode_target(target, source)
        ids = [
            dictionary.encode_line(text, add_if_not_exist=False).long()
            for dictionary, text in zip((task.source_dictionary, task.target_dictionary), pieces, strict=True)
        ]
        if all(len(each) <= limit for each, limit in zip(ids, limits, strict=True)):
            texts.append(source)
            for side, each in zip(sides, ids, strict=True):
                side.append(each)
    if not texts:
        raise UserError(f"{files[0]}: no pair has at most {limits[0]:,} source and {limits[1]:,} target tokens")
    if len(texts) < len(pairs):
        say(f"      {len(pairs) - len(texts):,} pairs are longer than the model reads, and left out")
    return task.loader.of_pairs(*sides), texts


@torch.inference_mode()
def _states(model: Seq2SeqModel, dataset: PairDataset) -> Iterator[tuple[int, Tensor]]:
    """Yield the number of each pair and the features of its target, T x D, longest pairs first."""
    device = next(model.parameters()).device
    groups = batches([dataset.num_tokens(number) for number in range(len(dataset))], MAX_TOKENS)
    for group in Progress(groups, "decoder states", unit=" batches"):
        batch = dataset.collater([dataset[number] for number in group])
        batch = utils.move_to_cuda(batch) if device.type == "cuda" else batch
        features, _ = model(**batch["net_input"], features_only=True)
        for number, row in zip(batch["id"].tolist(), features.float().cpu(), strict=True):
            yield number, row[: dataset.size(number)[1]]
        interrupt.check()


def nearest(translator: Translator, source: Tensor, hypothesis: Hypothesis, count: int) -> list[list[Neighbor]]:
    """Return for each token of an output the ``count`` neighbors in ``task.knn`` with the highest weights.

    Args:
        translator: with a datastore.
        source: ids of the source, S, or features S x ...
        hypothesis: its output.
        count: of neighbors for a token, at most.
    """
    task, model = translator.task, translator.models[0]
    store = Datastore(Path(task.cfg.knn))
    tokens = torch.tensor([task.target_dictionary.index(token) for token in hypothesis.target_tokens])
    dataset = task.loader.of_pairs([source], [tokens])
    batch = dataset.collater([dataset[0]])
    batch = utils.move_to_cuda(batch) if translator.cuda else batch
    with torch.inference_mode():
        features, _ = model.eval()(**batch["net_input"], features_only=True)
    rows, weights = neighbors(store, features[0], BeamOptions.from_config(None, task.cfg))
    sources = store.read_sources()
    return [
        [_neighbor(task, store, sources, *each) for each in list(zip(numbers, shares, strict=True))[:count]]
        for numbers, shares in zip(rows.tolist(), weights.tolist(), strict=True)
    ]


def _neighbor(task: Any, store: Datastore, sources: Sequence[str] | None, row: int, weight: float) -> Neighbor:
    pair, position = store.place(row)
    target = store.target(pair)
    return Neighbor(
        weight,
        task.target_dictionary[int(target[position])],
        task.text(target[:position]),
        task.text(target[position + 1 :]),
        None if sources is None else sources[pair],
    )
