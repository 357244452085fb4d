"""A trained model for use: lines of text or media files in, hypotheses out. For use by hand and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from fairseq import checkpoint_utils, utils
from fairseq.token_generation_constraints import pack_constraints
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from s2s_plugin.datasets.codec import SPACE
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.pipeline.checkpoint import load_checkpoint
from s2s_plugin.search.options import OURS, SPEED


@dataclass(frozen=True)
class Hypothesis:
    """One output.

    Attributes:
        text: detokenised.
        score: length-normalised log-probability, natural log.
        target_tokens: symbols, with </s>.
        attention: T x S weights, where asked for.
        alignment: source position of each symbol, where unknown words are replaced.
    """

    text: str
    score: float
    target_tokens: list[str]
    attention: list[list[float]] | None
    alignment: list


class Translator:
    """Loads a checkpoint with the prepared corpus's codec.

    Args:
        checkpoint: made by training with the task ``s2s``.
        generation: fairseq's ``GenerationConfig`` or part of it.
        data: folder of dictionaries and codec; None: the one it was trained on.
        attention: keep attention weights.
        cpu: leave a GPU alone.
        task: config whose search options take the place of the checkpoint's; or None.

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
        if attention:
            searched = dict(generation)
            searched |= {"print_alignment": "soft", "replace_unk": None, "score_reference": False}
            generation = OmegaConf.create(searched)
        self.search = self.task.build_generator(self.models, generation, extra_gen_cls_kwargs={})
        self.constrained = generation.get("constraints") is not None
        self.replacements = utils.load_align_dict(generation.get("replace_unk"))

    def translate(self, lines: Sequence[str]) -> list[Hypothesis]:
        """The best hypothesis of each line of text, in the order of the lines.

        With ``generation.constraints`` a line may bring, each after a tab, what its output must hold.
        """
        constraints = None
        if self.constrained:
            rows = [line.split("\t") for line in lines]
            lines = [row[0] for row in rows]
            constraints = pack_constraints([[self._constraint(words) for words in row[1:]] for row in rows])
        found, codec = self.decode([self.symbols(line) for line in lines], constraints=constraints), self.task.codec
        if self.replacements is not None:
            found = [self._replace_unknown(each, line) for each, line in zip(found, lines, strict=True)]
        if codec is None:
            return found
        return [replace(each, text=codec.fill(each.text, line)) for each, line in zip(found, lines, strict=True)]

    def decode(
        self, sources: Sequence[Tensor], batch_size: int = 32, constraints: Tensor | None = None
    ) -> list[Hypothesis]:
        """The best hypothesis of each source (S ids, or S x ... features), in their order.

        Args:
            constraints: for each source what its output must hold, as fairseq packs it; or None.
        """
        dataset = self.task.build_dataset_for_inference(sources, [len(source) for source in sources], constraints)
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        found: dict[int, Hypothesis] = {}
        for start in range(0, len(order), batch_size):
            batch = dataset.collater([dataset[i] for i in order[start : start + batch_size]])
            if self.cuda:
                batch = utils.move_to_cuda(batch)
            hypotheses = self.task.inference_step(self.search, self.models, batch, constraints=batch.get("constraints"))
            for index, candidates in zip(batch["id"].tolist(), hypotheses, strict=True):
                found[index] = self._hypothesis(candidates[0])
        return [found[index] for index in range(len(sources))]

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

    def _constraint(self, words: str) -> Tensor:
        """Ids that the output must hold."""
        text = words if self.task.codec is None else self.task.codec.target.encode(words)
        return self.task.target_dictionary.encode_line(text, add_if_not_exist=False, append_eos=False).long()

    def _replace_unknown(self, found: Hypothesis, line: str) -> Hypothesis:
        """With the source's words, or what the file says of them, where the model wrote that it knows none."""
        codec, unknown = self.task.codec, self.task.target_dictionary.unk_string()
        words = (line if codec is None else codec.encode(line)).split()[:: self.task.source_group]
        source = " ".join(word.removeprefix(SPACE) for word in words)
        written = " ".join(found.target_tokens[:-1])
        symbols = utils.replace_unk(written, source, found.alignment, self.replacements, unknown)
        return replace(found, text=symbols if codec is None else codec.decode(symbols))

    def _hypothesis(self, found: dict) -> Hypothesis:
        symbols = self.task.target_dictionary.string(found["tokens"])
        return Hypothesis(
            text=symbols if self.task.codec is None else self.task.codec.decode(symbols),
            score=float(found["score"]),
            target_tokens=[self.task.target_dictionary[i] for i in found["tokens"].tolist()],
            attention=None if found["attention"] is None else found["attention"].t().tolist(),
            alignment=list(found["alignment"]),
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
