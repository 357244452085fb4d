"""Run fairseq-generate in one process or several."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
from fairseq import tasks
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.inference.translator import MAX_TOKENS
from s2s_plugin.inference.workers import BATCHES_PER_WORKER, resolve_workers
from s2s_plugin.utils.workers import Workers

ITEM = re.compile(rb"[A-Z]-(\d+)")


def generate_config(cfg: DictConfig, **common_eval: str) -> DictConfig:
    """Return the training's config with what fairseq-generate needs: one process that sees the whole set."""
    merged = OmegaConf.merge(cfg, {"common_eval": common_eval})
    assert isinstance(merged, DictConfig)
    merged.task.eval_metric, merged.distributed_training.distributed_world_size = "none", 1
    if cfg.generation.replace_unk is not None:
        merged.dataset.dataset_impl = "raw"  # fairseq insists on it, although it does not read the text itself
    return merged


def decode(cfg: DictConfig, checkpoint: Path, folder: Path, workers: int, items: int, nbest: int) -> Path:
    """Write the output of fairseq-generate to ``folder``, ``items`` in corpus order, and return its path.

    ``workers`` is the number of processes on a CPU; 0: as many as are worth starting. ``nbest`` hypotheses of each
    item are written.
    """
    subset, processes = cfg.dataset.gen_subset, _count_processes(cfg, workers, items)

    def decode_shard(number: int) -> Path:
        from fairseq_cli import generate as fairseq_generate

        results = folder / str(number)
        arguments = generate_config(cfg, path=str(checkpoint), results_path=str(results))
        arguments.generation.nbest = nbest
        arguments.task.num_shards, arguments.task.shard_id = processes, number
        arguments.common.log_format = "tqdm" if sys.stderr.isatty() and number == 0 else "none"
        if processes > 1:
            arguments.dataset.num_workers = 0  # daemons may not have children
        fairseq_generate.main(arguments)
        return results / f"generate-{subset}.txt"

    if processes == 1:
        shards = [decode_shard(0)]
    else:
        with Workers(processes, decode_shard) as pool:
            shards = pool.map(range(processes))
    lines = [line for shard in shards for line in shard.read_bytes().split(b"\n")]
    numbered = [(int(match[1]), line) for line in lines if (match := ITEM.match(line))]
    path = folder / f"generate-{subset}.txt"
    path.write_bytes(b"".join(line + b"\n" for _, line in sorted(numbered, key=lambda pair: pair[0])))
    return path


def _count_processes(cfg: DictConfig, workers: int, items: int) -> int:
    processes = resolve_workers(workers, items, cfg.common.cpu or not torch.cuda.is_available())
    if processes == 1:
        return 1
    task = tasks.setup_task(cfg.task)
    task.load_dataset(cfg.dataset.gen_subset)
    dataset = task.dataset(cfg.dataset.gen_subset)
    sizes = {"max_tokens": cfg.dataset.max_tokens or MAX_TOKENS, "max_sentences": cfg.dataset.batch_size}
    batches = len(dataset.batch_by_size(dataset.ordered_indices(), **sizes))
    return max(1, min(processes, batches if workers else batches // BATCHES_PER_WORKER))
