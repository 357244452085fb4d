"""A trained model for use: lines of text or media files in, hypotheses out. For use by hand and for the report."""

from __future__ import annotations

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
from s2s_plugin.pipeline.check import first_parsable
from s2s_plugin.pipeline.checkpoint import load_checkpoint
from s2s_plugin.search.options import OURS, SPEED, BeamOptions


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
        check: parser that an output should pass; the first hypothesis of the beam that does is taken.

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
        check: str = "none",
    ):
        self.check = check
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

    def translate(self, lines: Sequence[str]) -> list[Hypothesis]:
        """The best hypothesis of each line of text, in the order of the lines; of a line too long, of its beginning."""
        sources = [self.symbols(line) for line in lines]
        cut = [s if len(s) <= self.longest + 1 else torch.cat([s[: self.longest], s[-1:]]) for s in sources]
        found, codec = self.decode(cut), self.task.codec
        if codec is None:
            return found
        return [replace(each, text=codec.fill(each.text, line)) for each, line in zip(found, lines, strict=True)]

    @property
    def longest(self) -> int:
        """Symbols of a text that are read at most, without </s>."""
        group = self.task.source_group
        return (self.task.cfg.max_source_positions - 1) // group * group

    def decode(self, sources: Sequence[Tensor], batch_size: int = 32) -> list[Hypothesis]:
        """The best hypothesis of each source (S ids, or S x ... features), in their order."""
        dataset = self.task.build_dataset_for_inference(sources, [len(source) for source in sources])
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        found: dict[int, Hypothesis] = {}
        for start in range(0, len(order), batch_size):
            batch = dataset.collater([dataset[i] for i in order[start : start + batch_size]])
            if self.cuda:
                batch = utils.move_to_cuda(batch)
            hypotheses = self.task.inference_step(self.search, self.models, batch)
            for index, candidates in zip(batch["id"].tolist(), hypotheses, strict=True):
                found[index] = self._hypothesis(candidates)
        return [found[index] for index in range(len(sources))]

    def symbols(self, line: str) -> Tensor:
        """Ids of a line of text, or of its beginning with ``task.truncate_source``."""
        text = line if self.task.codec is None else self.task.codec.encode(line)
        ids = self.task.source_dictionary.encode_line(text, add_if_not_exist=False).long()
        return self.task.truncated([ids], np.asarray([len(ids)]))[0]

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

    def _hypothesis(self, candidates: list[dict]) -> Hypothesis:
        """The best of one source's."""
        dictionary, codec = self.task.target_dictionary, self.task.codec
        symbols = [dictionary.string(each["tokens"]) for each in candidates[: 1 if self.check == "none" else None]]
        texts = symbols if codec is None else [codec.decode(each) for each in symbols]
        place = first_parsable(texts, self.check)
        found = candidates[place]
        return Hypothesis(
            text=texts[place],
            score=found["score"],
            target_tokens=[self.task.target_dictionary[i] for i in found["tokens"].tolist()],
            attention=None if found["attention"] is None else found["attention"].t().tolist(),
        )


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
