"""A trained model for use: lines of text or media files in, hypotheses out. For use by hand and for the report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from fairseq import checkpoint_utils, utils
from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.pipeline.checkpoint import load_checkpoint
from s2s_plugin.pipeline.workers import Workers, fitting
from s2s_plugin.search.options import OURS, SPEED, BeamOptions

SHARES = 4  # batches for each process, so that all end at about the same time
MAX_TOKENS = 12000  # of a batch where nothing is said, as fairseq has it


@dataclass(frozen=True)
class Hypothesis:
    """One output.

    Attributes:
        text: detokenised.
        score: length-normalised log-probability, natural log.
        target_tokens: symbols, with </s>.
        attention: T x S weights, where asked for.
    """

    text: str
    score: float
    target_tokens: list[str]
    attention: list[list[float]] | None


class Translator:
    """Loads a checkpoint with the prepared corpus's codec.

    Args:
        checkpoint: made by training with the task ``s2s``.
        generation: fairseq's ``GenerationConfig`` or part of it.
        data: folder of dictionaries and codec; None: the one it was trained on.
        attention: keep attention weights.
        cpu: leave a GPU alone.
        task: config whose search options take the place of the checkpoint's; or None.
        max_tokens: source steps of a batch at most, padding among them; a longer source has its own. None:
            ``MAX_TOKENS``.
        workers: processes that share the work where it is plenty; 0: as many as pay.

    Raises:
        UserError: the checkpoint is broken, or not of our architecture.
    """

    def __init__(
        self,
        checkpoint: Path,
        generation: DictConfig,
        data: Path | None = None,
        attention: bool = False,
        cpu: bool = False,
        task: DictConfig | None = None,
        max_tokens: int | None = None,
        workers: int = 1,
    ):
        check_checkpoint(checkpoint)
        overrides = {} if data is None else {"data": str(data)}
        self.models, _, self.task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], overrides)
        self.cuda = torch.cuda.is_available() and not cpu
        for model in self.models if self.cuda else ():
            model.cuda()
        if task is not None:
            for name in (*OURS.values(), *SPEED):
                self.task.cfg[name] = task[name]
        options = BeamOptions.of(generation, self.task.cfg)
        if attention:
            options = replace(options, print_alignment="soft")
        self.search = self.task.build_search(self.models, options)
        self.max_tokens, self.asked = max_tokens or MAX_TOKENS, workers
        self.most = fitting(workers, sys.maxsize, not self.cuda)
        self.processes: Workers | None = None

    def translate(self, lines: Sequence[str], first: int = 0) -> list[Hypothesis]:
        """The best hypothesis of each line of text, in their order; of an empty line, nothing.

        Args:
            lines: any number, without line ends.
            first: number of the first line, from 0, which matters to sampling alone.
        """
        kept, codec = [index for index, line in enumerate(lines) if line], self.task.codec
        found = self.decode([self.symbols(lines[index]) for index in kept], [first + index for index in kept])
        answers = [Hypothesis("", 0.0, [], None)] * len(lines)
        for index, each in zip(kept, found, strict=True):
            answers[index] = each if codec is None else replace(each, text=codec.fill(each.text, lines[index]))
        return answers

    def decode(self, sources: Sequence[Tensor], numbers: Sequence[int] | None = None) -> list[Hypothesis]:
        """The best hypothesis of each source (S ids, or S x ... features), in their order.

        ``numbers`` are the sources' own, which matter to sampling alone; None: 0, 1, 2 ...
        """
        numbers = range(len(sources)) if numbers is None else numbers
        workers = fitting(self.asked, len(sources), not self.cuda)
        groups = batches([len(source) for source in sources], self.max_tokens, workers)
        # As arrays: tensors would be sent to another process as open files.
        tasks = ([(numbers[i], sources[i].numpy()) for i in group] for group in groups)
        if workers > 1 and self.processes is None:
            self.processes = Workers(self.most, self._decode)
        results = map(self._decode, tasks) if self.processes is None or workers == 1 else self.processes.map(tasks)
        found: dict[int, Hypothesis] = {}
        for group, hypotheses in zip(groups, results, strict=True):
            found |= zip(group, hypotheses, strict=True)
        return [found[index] for index in range(len(sources))]

    def _decode(self, items: list[tuple[int, np.ndarray]]) -> list[Hypothesis]:
        """The best hypotheses of a batch of numbered sources."""
        sources = [torch.from_numpy(source) for _, source in items]
        dataset = self.task.build_dataset_for_inference(sources, [len(source) for source in sources])
        batch = dataset.collater([{**dataset[i], "id": number} for i, (number, _) in enumerate(items)])
        if self.cuda:
            batch = utils.move_to_cuda(batch)
        hypotheses = self.task.inference_step(self.search, self.models, batch)
        found = dict(zip(batch["id"].tolist(), hypotheses, strict=True))
        return [self._hypothesis(found[number][0]) for number, _ in items]

    def symbols(self, line: str) -> Tensor:
        """Ids of a line of text."""
        text = line if self.task.codec is None else self.task.codec.encode(line)
        return self.task.source_dictionary.encode_line(text, add_if_not_exist=False).long()

    def source_tokens(self, source: Tensor) -> list[str]:
        """The tokens of a source, S ids, behind each step of the memory; without their factors."""
        encoder, tokens = self.models[0].encoder, [self.task.source_dictionary[i] for i in source.tolist()]
        return [
            " ".join(tokens[start : start + encoder.stride : encoder.group])
            for start in range(0, len(tokens), encoder.stride)
        ]

    def dataset(self, split: str) -> PairDataset:
        """A split of the prepared data."""
        if split not in self.task.datasets:
            self.task.load_dataset(split)
        return self.task.datasets[split]

    def _hypothesis(self, found: dict) -> Hypothesis:
        symbols = self.task.target_dictionary.string(found["tokens"])
        return Hypothesis(
            text=symbols if self.task.codec is None else self.task.codec.decode(symbols),
            score=found["score"],
            target_tokens=[self.task.target_dictionary[i] for i in found["tokens"].tolist()],
            attention=None if found["attention"] is None else found["attention"].t().tolist(),
        )


def batches(lengths: Sequence[int], max_tokens: int, workers: int = 1) -> list[list[int]]:
    """Indices of sources in batches of like lengths, the longest first, for so many processes.

    A batch has at most ``max_tokens`` steps with its padding, but at least one source; and several processes get
    ``SHARES`` batches each.
    """
    most = len(lengths) if workers == 1 else max(1, len(lengths) // (SHARES * workers))
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and len(groups[-1]) < most and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= max_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def check_checkpoint(checkpoint: Path) -> dict:
    """What is in it.

    Raises:
        UserError: the checkpoint is broken, or not of our architecture.
    """
    state = load_checkpoint(checkpoint)
    model = (state.get("cfg") or {}).get("model") or {}
    architecture = model.get("_name") if isinstance(model, dict) else getattr(model, "arch", None)
    if not str(architecture).startswith("s2s"):
        raise UserError(
            f"{checkpoint}: a checkpoint of the architecture '{architecture}', not of ours; "
            "use fairseq-generate with the task it was trained with"
        )
    return state
