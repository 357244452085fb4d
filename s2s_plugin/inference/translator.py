"""A trained model for use: lines of text or media files in, hypotheses out. For use by hand and for the report."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils, utils
from fairseq.token_generation_constraints import pack_constraints
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.inference.syntax import first_parsable
from s2s_plugin.inference.workers import Workers, fitting
from s2s_plugin.search.options import EXACT_DEFAULTS, TASK_NAMES, own_options
from s2s_plugin.text.codec import SPACE
from s2s_plugin.utils.checkpoint import load_checkpoint

SHARES = 4  # batches for each process, so that all end at about the same time
READING = ("truncate_source", "max_source_positions")  # options of the task: how much of a text is read
MAX_TOKENS = 12000  # of a batch where nothing is said, as fairseq has it


@dataclass(frozen=True)
class Hypothesis:
    """One output.

    Attributes:
        text: detokenised.
        score: length-normalised log-probability, natural log.
        confidence: geometric mean of the symbols' probabilities, </s> among them; 0 where nothing was searched for.
        target_tokens: symbols, with </s>.
        attention: T x S weights, where asked for.
        alignment: source position of each symbol, where unknown words are replaced.
    """

    text: str = ""
    score: float = 0.0
    confidence: float = 0.0
    target_tokens: Sequence[str] = ()
    attention: list[list[float]] | None = None
    alignment: Sequence = ()


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
        nbest: keep all that the search finds, for :meth:`candidates`.
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
        max_tokens: int | None = None,
        workers: int = 1,
        nbest: bool = False,
        check: str = "none",
    ):
        check_checkpoint(checkpoint)
        overrides = {} if data is None else {"data": str(data)}
        self.models, _, self.task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], overrides)
        self.cuda = torch.cuda.is_available() and not cpu
        for model in self.models if self.cuda else ():
            model.cuda()
        if task is not None:
            for name in (*TASK_NAMES.values(), *EXACT_DEFAULTS, *READING):
                self.task.cfg[name] = task[name]
        if attention:
            plain: dict[Any, Any] = {"print_alignment": "soft", "replace_unk": None, "score_reference": False}
            generation = OmegaConf.create(dict(generation) | plain)
        self.search = self.task.build_generator(self.models, generation, extra_gen_cls_kwargs={})
        self.constrained = generation.get("constraints") is not None
        self.replacements = utils.load_align_dict(generation.get("replace_unk"))
        self.nbest, self.check = nbest, check
        self.max_tokens, self.asked = max_tokens or MAX_TOKENS, workers
        self.most = fitting(workers, sys.maxsize, not self.cuda)
        self.processes: Workers | None = None

    def translate(self, lines: Sequence[str], first: int = 0) -> list[Hypothesis]:
        """The best hypothesis of each line of text, in their order; of a line without symbols, nothing.

        Of a line that is too long its beginning is read (:attr:`longest`). With ``generation.constraints`` a line may
        bring, each after a tab, what its output must hold.

        Args:
            lines: any number, without line ends.
            first: number of the first line, from 0, which matters to sampling alone.
        """
        return [found[0] for found in self.candidates(lines, first)]

    def candidates(self, lines: Sequence[str], first: int = 0) -> list[list[Hypothesis]]:
        """All hypotheses of each line of text, best first; the best alone without ``nbest``."""
        rows, sources = [self._fields(line) for line in lines], [self.symbols(line) for line in lines]
        kept = [index for index, source in enumerate(sources) if len(source) > 1]  # </s> alone is nothing
        constraints = None
        if self.constrained:
            constraints = pack_constraints([[self._constraint(words) for words in rows[index][1:]] for index in kept])
        cut = [torch.cat((source[:-1][: self.longest], source[-1:])) for source in (sources[index] for index in kept)]
        answers = [[Hypothesis()]] * len(lines)
        for index, each in zip(kept, self._search(cut, [first + index for index in kept], constraints), strict=True):
            answers[index] = [self._finish(hypothesis, rows[index][0]) for hypothesis in each]
        return answers

    @property
    def longest(self) -> int:
        """Symbols of a text that are read at most, without </s>."""
        group = self.task.source_group
        return (self.task.cfg.max_source_positions - 1) // group * group

    def decode(self, sources: Sequence[Tensor]) -> list[Hypothesis]:
        """The best hypothesis of each source (S ids, or S x ... features), in their order."""
        return [found[0] for found in self._search(sources, range(len(sources)))]

    def _search(
        self, sources: Sequence[Tensor], numbers: Sequence[int], constraints: Tensor | None = None
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each source, in their order.

        Args:
            sources: S ids, or S x ... features, each.
            numbers: their own, which matter to sampling alone.
            constraints: for each what its output must hold, as fairseq packs it; or None.
        """
        workers = fitting(self.asked, len(sources), not self.cuda)
        groups = batches([len(source) for source in sources], self.max_tokens, workers)
        # As arrays: tensors would be sent to another process as open files.
        tasks = (
            (
                [numbers[i] for i in group],
                [sources[i].numpy() for i in group],
                None if constraints is None else constraints[group].numpy(),
            )
            for group in groups
        )
        if workers > 1 and self.processes is None:
            self.processes = Workers(self.most, self._of_batch)
        results = map(self._of_batch, tasks) if self.processes is None or workers == 1 else self.processes.map(tasks)
        found: dict[int, list[Hypothesis]] = {}
        for group, hypotheses in zip(groups, results, strict=True):
            found |= zip(group, hypotheses, strict=True)
        return [found[index] for index in range(len(sources))]

    def _of_batch(self, items: tuple[list[int], list[np.ndarray], np.ndarray | None]) -> list[list[Hypothesis]]:
        """Hypotheses of a batch: numbers, sources and constraints."""
        numbers, arrays, constraints = items
        sources = [torch.from_numpy(array) for array in arrays]
        forced = None if constraints is None else torch.from_numpy(constraints)
        dataset = self.task.build_dataset_for_inference(sources, [len(source) for source in sources], forced)
        batch = dataset.collater([dataset[i] for i in range(len(sources))])
        places = batch["id"].tolist()
        batch["id"] = torch.tensor([numbers[place] for place in places])
        if self.cuda:
            batch = utils.move_to_cuda(batch)
        found = self.task.inference_step(self.search, self.models, batch, constraints=batch.get("constraints"))
        by_place = dict(zip(places, found, strict=True))
        return [self._hypotheses(by_place[place]) for place in range(len(sources))]

    def symbols(self, line: str) -> Tensor:
        """Ids of a line of text, or of its beginning with ``task.truncate_source``."""
        text, *_ = self._fields(line)
        text = text if self.task.codec is None else self.task.codec.encode(text)
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

    def _fields(self, line: str) -> list[str]:
        """The text of a line, and what its output must hold."""
        return line.split("\t") if self.constrained else [line]

    def _constraint(self, words: str) -> Tensor:
        """Ids that the output must hold.

        Raises:
            UserError: the target's vocabulary lacks some.
        """
        dictionary = self.task.target_dictionary
        text = words if self.task.codec is None else self.task.codec.target.encode(words)
        ids = dictionary.encode_line(text, add_if_not_exist=False, append_eos=False).long()
        if dictionary.unk() in ids:
            raise UserError(f"'{words}' is to be in the output, and holds what the target's vocabulary lacks")
        return ids

    def _hypotheses(self, found: list[dict]) -> list[Hypothesis]:
        """Those of one source that are asked for, best first."""
        if self.check == "none":
            return [self._hypothesis(each) for each in found[: None if self.nbest else 1]]
        hypotheses = [self._hypothesis(each) for each in found]
        best = hypotheses.pop(first_parsable([each.text for each in hypotheses], self.check))
        return [best, *hypotheses]

    def _hypothesis(self, found: dict) -> Hypothesis:
        symbols = self.task.target_dictionary.string(found["tokens"])
        return Hypothesis(
            text=symbols if self.task.codec is None else self.task.codec.decode(symbols),
            score=float(found["score"]),
            confidence=math.exp(found["positional_scores"].mean().item()),
            target_tokens=[self.task.target_dictionary[i] for i in found["tokens"].tolist()],
            attention=None if found["attention"] is None else found["attention"].t().tolist(),
            alignment=list(found["alignment"]),
        )

    def _finish(self, found: Hypothesis, line: str) -> Hypothesis:
        """With what is copied from the line itself: slots, and words for those that the model wrote as unknown.

        For the latter the source's word is taken, or what the file of ``generation.replace_unk`` says of it.
        """
        codec, text = self.task.codec, found.text
        if self.replacements is not None:
            words = (line if codec is None else codec.encode(line)).split()[:: self.task.source_group]
            source = " ".join(word.removeprefix(SPACE) for word in words)
            written, unknown = " ".join(found.target_tokens[:-1]), self.task.target_dictionary.unk_string()
            text = utils.replace_unk(written, source, found.alignment, self.replacements, unknown)
            text = text if codec is None else codec.decode(text)
        return replace(found, text=text if codec is None else codec.fill(text, line))


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


def generation_key(cfg: DictConfig) -> list[object]:
    """Return everything apart from model and data that decides the outputs, to be fingerprinted.

    Args:
        cfg: with fairseq's groups ``task`` and ``generation``.
    """
    key = [cfg.generation, sorted(own_options(cfg.task).items()), *(cfg.task[name] for name in READING)]
    if cfg.generation.sampling:
        key.append(cfg.task.seed)
    if cfg.generation.replace_unk and (dictionary := Path(cfg.generation.replace_unk)).is_file():
        key.append(dictionary)
    return key


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
