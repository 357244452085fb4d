"""What a model is to explain: sentences or media, each with its own output or one that the user names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.interactive import media_files
from s2s_plugin.inference.lines import SourceReader, check_inputs, invite
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.workers import Workers

WINDOW = 16  # lines that are decoded together
Fail = Callable[[str, Exception], None]


@dataclass(frozen=True)
class Case:
    """An input of a model, and an output to look at.

    Args:
        text: the sentence, or the name of the file.
        source: S ids, or S x ... features.
        output: detokenized.
        target: T ids of the output, with </s>.
        beam: the model's own hypotheses, best first.
        given: whether the output is the user's; else it is the first hypothesis.
    """

    text: str
    source: Tensor
    output: str
    target: Tensor
    beam: Sequence[Hypothesis]
    given: bool


def text_cases(
    translator: Translator, cfg: DictConfig, run: RunDir, inputs: Sequence[str], fail: Fail
) -> Iterator[Case]:
    """Yield a case for each sentence, line of a file or of standard input that is not empty; see ``s2s translate``.

    A line may go on with a tab and an output.
    """
    check_inputs(inputs)
    invite(inputs, run)
    reader, number = SourceReader(translator, cfg, fail, with_outputs=True), 0
    words: Sequence[str | None] = inputs or [None]
    for lines in chain.from_iterable(reader.windows(word, WINDOW) for word in words):
        texts, outputs = zip(*(line.partition("\t")[::2] for line in lines), strict=True)
        for text, output, beam in zip(texts, outputs, translator.candidates(texts, number), strict=True):
            if beam[0].target_tokens:
                yield _text_case(translator, text, output, beam)
        number += len(lines)
        sys.stdout.flush()
        interrupt.check()


def media_cases(translator: Translator, files: Sequence[str], fail: Fail) -> Iterator[Case]:
    """Yield a case for each media file, and for each in the folders."""
    modality = translator.task.modality
    if not files:
        raise UserError(f"name the {modality} files, or folders of them")
    # A process of its own, so that a decoder that crashes costs its file alone.
    with Workers(1, lambda path: translator.task.loader.read_signal(path).numpy(), "leave the file out") as reader:
        for path in media_files(files, modality):
            try:
                source = torch.from_numpy(reader.map([path])[0])
            except Exception as error:  # of a decoder, which may raise anything
                fail(str(path), error)
                continue
            hypothesis = translator.decode([source])[0]
            yield Case(str(path), source, hypothesis.text, target_ids(translator, hypothesis), [hypothesis], False)
            interrupt.check()


def _text_case(translator: Translator, text: str, output: str, beam: Sequence[Hypothesis]) -> Case:
    source = translator.source_ids(text)
    if not output:
        return Case(text, source, beam[0].text, target_ids(translator, beam[0]), beam, False)
    return Case(text, source, output, translator.target_ids(output, text), beam, True)


def target_ids(translator: Translator, hypothesis: Hypothesis) -> Tensor:
    """Return the ids of a hypothesis, with </s>."""
    dictionary = translator.task.target_dictionary
    return torch.tensor([dictionary.index(token) for token in hypothesis.target_tokens])


def numbered(path: Path, number: int) -> Path:
    """Return the name of a file for the first of several cases, or for a later one: ``map-2.png``."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")
