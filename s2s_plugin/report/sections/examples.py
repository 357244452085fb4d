"""Example outputs, best, worst and random, with their differences from the reference and their attention."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from sacrebleu.metrics import CHRF

from s2s_plugin.report.run import Output, RunData
from s2s_plugin.report.sections.media import media_uri
from s2s_plugin.report.words import line_counts, split, words_of

GROUP_SIZE = 5
SEED = 1
MAX_CELLS = 4000  # of a table of attention weights; larger ones make the page slow: a picture replaces them
MAX_MISSING_GLYPHS = 12  # to list
MAX_RAREST = 5  # words of a source


@dataclass(frozen=True)
class Example:
    """An output, its sentence chrF and the index of the most similar reference."""

    output: Output
    chrf: float | None = None  # None without a reference
    nearest: int = 0


def examples_section(run: RunData) -> dict[str, Any] | None:
    """Show some outputs with their differences highlighted, and their attention."""
    if not run.outputs:
        return None
    from s2s_plugin.report.drawing.attention import MAX_TOKENS, draw  # imports matplotlib
    from s2s_plugin.report.drawing.style import fonts_for, has_font_package, to_png

    groups = choose(run.outputs)
    shown = [example.output for examples in groups.values() for example in examples]
    attention = {
        output.id: replace(item, caption=_caption(output))
        for output in shown
        if (item := run.attention.get(output.id)) is not None and item.attention.any()  # all 0: model.attention=none
    }
    labels = "".join(token for item in attention.values() for token in (*item.source_tokens, *item.target_tokens))
    return {
        "groups": groups,
        "highlight": highlight,
        "media_uri": lambda name: media_uri(name) if run.has_media(name) else "",
        "attention": attention,
        "without_attention": (run.options.get("model") or {}).get("attention") == "none",
        "pictures": {f"attention-{id}.png": to_png(draw(item)) for id, item in attention.items()},
        "missing_glyphs": sorted(fonts_for(labels)[1])[:MAX_MISSING_GLYPHS],
        "has_font_package": has_font_package(),
        "limits": {"cells": MAX_CELLS, "tokens": MAX_TOKENS},
        "rarest": rarest_words([example.output for example in groups["Worst"]], run.train_text),
    }


def _caption(output: Output) -> str:
    """Name a test item below its picture."""
    name = Path(output.media).name if output.source is None else output.source
    return f"No. {output.id} of the test set (line {output.id + 1} of outputs.jsonl): {name}"


def rate(output: Output) -> Example:
    """Compute the sentence chrF of an output with all its references."""
    scores = [CHRF().sentence_score(output.hypothesis, [text]).score for text in output.references]
    nearest = max(range(len(scores)), key=scores.__getitem__, default=None)
    return Example(output) if nearest is None else Example(output, scores[nearest], nearest)


def choose(outputs: Iterable[Output], size: int = GROUP_SIZE) -> dict[str, list[Example]]:
    """Choose three groups without repetition: best, worst, and a random sample of the rest (with a fixed seed).

    Of equally good ones the longer come first: a perfect "Yes." teaches nothing.
    """
    examples = list(map(rate, outputs))
    rated = [example for example in examples if example.chrf is not None]
    ranked = sorted(rated, key=lambda example: (-(example.chrf or 0), -len(example.output.hypothesis)))
    count = min(size, math.ceil(len(ranked) / 3))
    best, worst = ranked[:count], ranked[count:][::-1][:count]
    chosen = {example.output.id for example in best + worst}
    rest = [example for example in examples if example.output.id not in chosen]
    sample = random.Random(SEED).sample(rest, min(size, len(rest)))
    return {"Best": best, "Worst": worst, "Random sample": sorted(sample, key=lambda example: example.output.id)}


def rarest_words(outputs: Iterable[Output], train_text: Path | None) -> dict[int, list[tuple[str, int]]]:
    """Return, by the id of an output, the rarest words of its source, each with the training sources that have it."""
    if train_text is None:
        return {}
    words = {output.id: list(dict.fromkeys(words_of(output.source or ""))) for output in outputs}
    counts = line_counts(train_text, itertools.chain.from_iterable(words.values()))
    return {
        id: sorted(((word, counts[word]) for word in own), key=lambda pair: pair[1])[:MAX_RAREST]
        for id, own in words.items()
        if len(own) > 1  # a single word, as in pronunciation, is always new
    }


def highlight(text: str, other: str, tag: str) -> Markup:
    """Return ``text`` as HTML with the words that ``other`` does not have, at this place, in a ``tag`` element."""
    words, others = split(text), split(other)
    parts = []
    for kind, start, end, _, _ in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        piece = "".join(words[start:end])
        bare = piece.strip()
        if kind == "equal" or not bare:
            parts.append(escape(piece))
        else:
            before, _, after = piece.partition(bare)
            parts.append(Markup("{0}<{1}>{2}</{1}>{3}").format(before, tag, bare, after))
    return Markup("").join(parts)
