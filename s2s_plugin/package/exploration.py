"""An input, what a model makes of it, and what else it could have made: for the explorer of ``s2s serve``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.inference.attention import signal_steps
from s2s_plugin.inference.translator import Translator
from s2s_plugin.package.observers import Alternative, Node
from s2s_plugin.tasks.seq2seq import Seq2SeqTask

MAX_SPECTROGRAM_STEPS, MAX_FRAMES, MAX_PICTURE_SIDE = 600, 12, 224  # of a signal that is drawn
SPECTROGRAM_PERCENTILES = (2, 99.5)  # drawn black and white


@dataclass(frozen=True)
class Signal:
    """A source as the model sees it, for display.

    Attributes:
        kind: audio, video or image.
        pixels: frames x height x width x channels, uint8; of audio a log-mel spectrogram, the highest frequency first.
        seconds: duration of audio and video.
        step_seconds: what each memory step covers of it.
        grid: rows and columns of a picture that the memory steps cover, row by row.
    """

    kind: str
    pixels: np.ndarray
    seconds: float | None = None
    step_seconds: float | None = None
    grid: Sequence[int] | None = None


@dataclass(frozen=True)
class Exploration:
    """The outputs of one input, and the search for them.

    Attributes:
        outputs: n best, best first (:class:`~s2s_plugin.package.model.Output`).
        alternatives: of each output, for each of its tokens, the likeliest tokens there, without constraints; empty if
            the search kept none. With a CTC head in the search, of those that the decoder finds likeliest, with the
            weighted geometric mean of both probabilities, as in ``outputs``.
        lattice: of each step of the search, its hypotheses, best first; empty if it kept none.
        signal: the source, if it is no text.
    """

    outputs: list
    alternatives: list[list[list[Alternative]]]
    lattice: list[list[Node]]
    signal: Signal | None


def signal_of(translator: Translator, source: Tensor) -> Signal:
    """Return a source of S x ... features for display."""
    steps = signal_steps(translator, source)
    image = translator.task.frontend.to_image(source)
    kind = steps["modality"]
    if kind == "image":
        stride = -(-max(image.shape[:2]) // MAX_PICTURE_SIDE)
        return Signal(kind, image[None, ::stride, ::stride], grid=steps["grid"])
    seconds = {"seconds": len(image) * steps["seconds_per_frame"]}
    seconds["step_seconds"] = steps["stride"] * steps["seconds_per_frame"]
    if kind == "video":
        count = min(MAX_FRAMES, len(image))
        shown = [int((place + 0.5) * len(image) / count) for place in range(count)]
        return Signal(kind, image[shown].astype(np.uint8)[..., None], **seconds)
    return Signal(kind, _spectrogram(image.astype(np.float32))[None, :, :, None], **seconds)


def _spectrogram(image: np.ndarray) -> np.ndarray:
    """Return mel channels x steps of uint8, the highest channel first, of steps x mel channels."""
    size = -(-len(image) // MAX_SPECTROGRAM_STEPS)
    joined = np.stack([image[start : start + size].mean(0) for start in range(0, len(image), size)])
    low, high = np.percentile(joined, SPECTROGRAM_PERCENTILES)
    return ((joined - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8).T[::-1]


def prefix_ids(
    translator: Translator, prefixes: Sequence[str | Sequence[str]] | None, lines: Sequence[str]
) -> list[Tensor] | None:
    """Return the ids that the outputs of each source must begin with.

    Args:
        translator: it decodes.
        prefixes: of each source, a text or tokens of the target; or None.
        lines: the sources, which may have words to copy; of signals, empty.

    Raises:
        UserError: the target vocabulary lacks a token.
    """
    if prefixes is None:
        return None
    return [_prefix_ids(translator.task, prefix, line) for prefix, line in zip(prefixes, lines, strict=True)]


def _prefix_ids(task: Seq2SeqTask, prefix: str | Sequence[str], line: str) -> Tensor:
    dictionary, codec = task.target_dictionary, task.codec
    if isinstance(prefix, str):
        tokens = (prefix if codec is None else codec.encode_target(prefix, line)).split()
    else:
        tokens = list(prefix)
    unknown = [token for token in tokens if token not in dictionary or token == dictionary.pad_word]
    if unknown or any(any(letter.isspace() for letter in token) for token in tokens):
        raise UserError(f"prefix must be in the target vocabulary, got {' '.join(unknown or tokens)!r:.100}")
    if dictionary.eos_word in tokens[:-1]:
        raise UserError(f"prefix must have {dictionary.eos_word} at its end at most")
    return dictionary.encode_line(" ".join(tokens), add_if_not_exist=False, append_eos=False).long()
