"""Decode lines of text, media files and prepared items with a trained checkpoint."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import utils
from fairseq.token_generation_constraints import pack_constraints
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.syntax import first_parsable, usable_parser
from s2s_plugin.inference.workers import Batch, batches, resolve_workers
from s2s_plugin.search.options import check_without_targets
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.tasks.config import DECODING_OPTIONS
from s2s_plugin.text.normalize import SPACE
from s2s_plugin.utils.workers import Workers

MAX_TOKENS = 12000  # default of a batch, as in fairseq


class Translator:
    """A trained model with the codec of its corpus.

    Args:
        checkpoint: of the task ``s2s``.
        generation: fairseq's ``GenerationConfig`` or part of it.
        task: config whose search options override those of the checkpoint; or None.
        data: folder of dictionaries and codec; None: the one in the checkpoint.
        cpu: do not use a GPU.
        max_tokens: source steps in a batch at most, padding included; a longer source has a batch of its own. None:
            ``MAX_TOKENS``.
        workers: number of processes for large inputs; 0: as many as are worth starting.
        output_parser: prefer the first hypothesis that this parser accepts (:func:`first_parsable`).

    Raises:
        UserError: the checkpoint is unreadable or of another architecture.
    """

    def __init__(
        self,
        checkpoint: Path,
        generation: DictConfig,
        task: DictConfig | None = None,
        *,
        data: Path | None = None,
        cpu: bool = False,
        max_tokens: int | None = None,
        workers: int = 1,
        output_parser: str = "none",
    ):
        model, _, self.task = load_model(checkpoint, data)
        self.cuda = torch.cuda.is_available() and not cpu
        self.models = [model.cuda() if self.cuda else model]
        self.task.inference_copies = {}
        self.output_parser = output_parser
        self.max_tokens, self.requested_workers = max_tokens or MAX_TOKENS, workers
        self.max_workers = resolve_workers(workers, sys.maxsize, not self.cuda)
        self._set_search(generation, {} if task is None else {name: task[name] for name in DECODING_OPTIONS})

    def with_search(self, generation: DictConfig, options: Mapping[str, Any]) -> Translator:
        """Return a translator with the same model and another search; ``options``: of the task, by name."""
        other = copy.copy(self)
        other.task = copy.copy(self.task)
        other.task.cfg = copy.copy(self.task.cfg)
        other._set_search(generation, options)
        return other

    def _set_search(self, generation: DictConfig, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            self.task.cfg[name] = value
        self.search = self.task.build_generator(self.models, generation, extra_gen_cls_kwargs={})
        self.constrained = generation.get("constraints") is not None
        self.replacements = utils.load_align_dict(generation.get("replace_unk"))
        self.workers: Workers | None = None

    def translate(self, lines: Sequence[str], first: int = 0) -> list[Hypothesis]:
        """Return the best hypothesis of each line of text, see :meth:`candidates`."""
        return [hypotheses[0] for hypotheses in self.candidates(lines, first, nbest=1)]

    def candidates(
        self,
        lines: Sequence[str],
        first: int = 0,
        nbest: int | None = None,
        prefixes: Sequence[Tensor] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses of each line of text, best first; an empty one for a line without tokens.

        Lines longer than :attr:`max_source_tokens` are truncated. With ``generation.constraints`` a line may carry
        words that its output must contain, each after a tab.

        Args:
            lines: any number, without line ends.
            first: number of the first line, from 0, which seeds sampling.
            nbest: number of hypotheses; None: all.
            prefixes: of each line, the ids that its hypotheses must begin with.

        Raises:
            UserError: a constraint cannot be spelled, see :meth:`constraints`.
        """
        rows, sources = [self._fields(line) for line in lines], [self.encode(line) for line in lines]
        nonempty = [index for index, source in enumerate(sources) if len(source) > 1]  # more than </s>
        constraints = None
        if self.constrained:
            constraints = pack_constraints([self.constraints(lines[i]) for i in nonempty])
        outputs = [[Hypothesis()]] * len(lines)
        cut, numbers = [self._cut(sources[i]) for i in nonempty], [first + i for i in nonempty]
        prefixes = None if prefixes is None else [prefixes[i] for i in nonempty]
        results = self._search(cut, numbers, constraints, prefixes, nbest)
        for index, hypotheses in zip(nonempty, results, strict=True):
            outputs[index] = [self._copy_from_source(hypothesis, rows[index][0]) for hypothesis in hypotheses]
        return outputs

    def decode(self, sources: Sequence[Tensor]) -> list[Hypothesis]:
        """Return the best hypothesis of each source (S ids, or S x ... features)."""
        return [hypotheses[0] for hypotheses in self.decode_all(sources)]

    def decode_all(
        self, sources: Sequence[Tensor], nbest: int | None = 1, prefixes: Sequence[Tensor] | None = None
    ) -> list[list[Hypothesis]]:
        """Return the n best hypotheses of each source, best first; options as of :meth:`candidates`."""
        return self._search(sources, range(len(sources)), None, prefixes, nbest)

    @property
    def attends(self) -> bool:
        """Return whether the model has attention (``model.attention``)."""
        return self.models[0].decoder.rnn.attention.context_size > 0

    @property
    def max_source_tokens(self) -> int:
        """Return how many tokens of a text are read at most, without </s>."""
        group = self.task.loader.source_group
        return (self.task.cfg.max_source_positions - 1) // group * group

    def encode(self, line: str) -> Tensor:
        """Return the ids of a line of text, truncated with ``task.truncate_source``."""
        text, *_ = self._fields(line)
        text = text if self.task.codec is None else self.task.codec.encode(text)
        ids = self.task.source_dictionary.encode_line(text, add_if_not_exist=False).long()
        return self.task.loader.truncate([ids], np.asarray([len(ids)]))[0]

    def source_ids(self, line: str) -> Tensor:
        """Return the ids of a line that the model reads: at most :attr:`max_source_tokens`, and </s>."""
        return self._cut(self.encode(line))

    def target_ids(self, text: str, source: str | None = None) -> Tensor:
        """Return the ids of a target, with </s>; words that it copies from its ``source`` become slots."""
        codec = self.task.codec
        if codec is not None:
            text = codec.target.encode(text) if source is None else codec.encode_target(text, source)
        return self.task.target_dictionary.encode_line(text, add_if_not_exist=False).long()

    def constraints(self, line: str) -> list[Tensor]:
        """Return the ids of the words that the output of a line must contain.

        Raises:
            UserError: the target vocabulary lacks some.
        """
        dictionary, result = self.task.target_dictionary, []
        for text in self._fields(line)[1:]:
            tokens = text if self.task.codec is None else self.task.codec.target.encode(text)
            result.append(dictionary.encode_line(tokens, add_if_not_exist=False, append_eos=False).long())
            if dictionary.unk() in result[-1]:
                raise UserError(f"constraints must be in the target vocabulary, got '{text}'")
        return result

    def source_tokens(self, source: str | Tensor) -> list[str]:
        """Return the tokens of a line or of its ids, behind each step of the memory; without their factors."""
        ids = self.source_ids(source) if isinstance(source, str) else source
        encoder, tokens = self.models[0].encoder, [self.task.source_dictionary[i] for i in ids.tolist()]
        return [
            " ".join(tokens[start : start + encoder.stride : encoder.group])
            for start in range(0, len(tokens), encoder.stride)
        ]

    def dataset(self, split: str) -> PairDataset:
        """Return a split of the prepared data."""
        if split not in self.task.datasets:
            self.task.load_dataset(split)
        return self.task.datasets[split]

    def _search(
        self,
        sources: Sequence[Tensor],
        numbers: Sequence[int],
        constraints: Tensor | None,
        prefixes: Sequence[Tensor] | None,
        nbest: int | None,
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses of each source (S ids, or S x ... features), in the order of the sources."""
        workers = resolve_workers(self.requested_workers, len(sources), not self.cuda)
        groups = batches([len(source) for source in sources], self.max_tokens, workers)
        tasks = (
            Batch(
                [numbers[i] for i in group],
                [sources[i].numpy() for i in group],
                None if constraints is None else constraints[group].numpy(),
                None if prefixes is None else [prefixes[i].numpy() for i in group],
                nbest,
            )
            for group in groups
        )
        if workers > 1 and self.workers is None:
            self.workers = Workers(self.max_workers, self._decode_batch)
        results = map(self._decode_batch, tasks) if self.workers is None or workers == 1 else self.workers.map(tasks)
        by_index: dict[int, list[Hypothesis]] = {}
        for group, hypotheses in zip(groups, results, strict=True):
            by_index |= zip(group, hypotheses, strict=True)
        return [by_index[index] for index in range(len(sources))]

    def _decode_batch(self, task: Batch) -> list[list[Hypothesis]]:
        sources = [torch.from_numpy(array) for array in task.sources]
        constraints = None if task.constraints is None else torch.from_numpy(task.constraints)
        dataset = self.task.build_dataset_for_inference(sources, [len(source) for source in sources], constraints)
        batch = dataset.collater([dataset[i] for i in range(len(sources))])
        places = batch["id"].tolist()
        batch["id"] = torch.tensor([task.numbers[place] for place in places])
        if task.prefixes is not None:
            rows = [torch.from_numpy(task.prefixes[place]) for place in places]
            batch["prefix"] = pad_sequence(rows, batch_first=True, padding_value=self.task.target_dictionary.pad())
        if self.cuda:
            batch = utils.move_to_cuda(batch)
        forced = {"prefix_tokens": batch.get("prefix"), "constraints": batch.get("constraints")}
        outputs = self.task.inference_step(self.search, self.models, batch, **forced)
        by_place = dict(zip(places, outputs, strict=True))
        return [self._hypotheses(by_place[place], task.nbest) for place in range(len(sources))]

    def _cut(self, source: Tensor) -> Tensor:
        """Return what is read of the ids of a text: :attr:`max_source_tokens` at most, and </s>."""
        return torch.cat((source[:-1][: self.max_source_tokens], source[-1:]))

    def _fields(self, line: str) -> list[str]:
        """Return the text of a line, then its constraints."""
        return line.split("\t") if self.constrained else [line]

    def _hypotheses(self, outputs: list[dict], nbest: int | None) -> list[Hypothesis]:
        """Return the hypotheses of one source, best first."""
        hypotheses = [self._hypothesis(each) for each in outputs[: nbest if self.output_parser == "none" else None]]
        best = hypotheses.pop(first_parsable([each.text for each in hypotheses], self.output_parser))
        return [best, *hypotheses][:nbest]

    def _hypothesis(self, output: dict) -> Hypothesis:
        tokens, token_logprobs = self.task.target_dictionary.string(output["tokens"]), output["positional_scores"]
        return Hypothesis(
            text=tokens if self.task.codec is None else self.task.codec.decode(tokens),
            score=float(output["score"]),
            confidence=math.exp(token_logprobs.mean().item()),
            target_tokens=[self.task.target_dictionary[i] for i in output["tokens"].tolist()],
            token_probabilities=token_logprobs.exp().tolist(),
            attention=output["attention"].t().tolist() if self.attends and output["attention"] is not None else None,
            alignment=list(output["alignment"]),
        )

    def _copy_from_source(self, hypothesis: Hypothesis, line: str) -> Hypothesis:
        """Fill in what is copied from the source line: slots, and with ``generation.replace_unk`` unknown words."""
        codec, text = self.task.codec, hypothesis.text
        if self.replacements is not None:
            words = (line if codec is None else codec.encode(line)).split()[:: self.task.loader.source_group]
            tokens, unknown = " ".join(hypothesis.target_tokens[:-1]), self.task.target_dictionary.unk_string()
            source = " ".join(word if word == SPACE + unknown else word.removeprefix(SPACE) for word in words)
            text = utils.replace_unk(tokens, source, hypothesis.alignment, self.replacements, unknown)
            text = text if codec is None else codec.decode(text)
        return replace(hypothesis, text=text if codec is None else codec.fill(text, line))


def load_translator(cfg: DictConfig, run: RunDir) -> Translator:
    """Return the translator of a trained run, with the search of the config."""
    check_without_targets(cfg.generation)
    return Translator(
        run.best_checkpoint(),
        cfg.generation,
        cfg.task,
        data=Path(cfg.task.data),
        cpu=cfg.common.cpu,
        max_tokens=cfg.dataset.max_tokens,
        workers=cfg.workers,
        output_parser=usable_parser(cfg),
    )
