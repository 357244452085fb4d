"""Example outputs, best, worst and drawn at random, with their differences from the reference."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from difflib import SequenceMatcher

from s2s_plugin.report.markup import Section, esc, missing, number
from s2s_plugin.report.media import media_html
from s2s_plugin.report.run import Output, Run
from s2s_plugin.report.words import split

EACH = 5
SEED = 1


@dataclass(frozen=True)
class Example:
    """An output, its sentence chrF and the place of the reference it comes closest to."""

    output: Output
    chrf: float | None  # None where there is no reference
    nearest: int = 0


def examples_section(run: Run) -> Section:
    """The chosen examples with their differences highlighted."""
    title = "Examples"
    if not run.outputs:
        return Section("examples", title, missing("outputs.jsonl", "generate", "example outputs"))
    groups = choose([rate(output) for output in run.outputs])
    legend = (
        '<p class="note">By sentence chrF. In the output, <ins>words that the reference has not</ins>; '
        "in the reference, <del>words that the output has not</del>. "
        "The log-probability is the mean per output token (natural logarithm).</p>"
    )
    body = "\n".join(
        f"<h3>{esc(name)}</h3>\n" + "\n".join(_card(example) for example in examples)
        for name, examples in groups
        if examples
    )
    return Section("examples", title, f"{legend}\n{body}")


def rate(output: Output) -> Example:
    """The output with its sentence chrF against all its references."""
    from sacrebleu.metrics import CHRF

    if not output.references:
        return Example(output, None)
    chrf = CHRF()
    each = [chrf.sentence_score(output.hypothesis, [text]).score for text in output.references]
    nearest = max(range(len(each)), key=each.__getitem__)
    return Example(output, each[nearest], nearest)


def choose(examples: list[Example], each: int = EACH) -> list[tuple[str, list[Example]]]:
    """Three groups without repetition: best, worst, and random ones of the rest (with a fixed seed).

    Of equally good ones the longer come first: a perfect "Yes." teaches nothing.
    """
    rated = [example for example in examples if example.chrf is not None]
    ranked = sorted(rated, key=lambda example: (-(example.chrf or 0), -len(example.output.hypothesis)))
    some = min(each, math.ceil(len(ranked) / 3))
    best = ranked[:some]
    worst = ranked[some:][::-1][:some]
    taken = {id(example) for example in best + worst}
    rest = [example for example in examples if id(example) not in taken]
    drawn = random.Random(SEED).sample(rest, min(each, len(rest)))
    drawn.sort(key=lambda example: example.output.id)
    return [("Best", best), ("Worst", worst), ("Drawn at random", drawn)]


def highlight(text: str, other: str, tag: str) -> str:
    """``text`` as HTML in which the words that ``other`` has not, at this place, are in a ``tag`` element."""
    words, others = split(text), split(other)
    parts = []
    for kind, start, end, _, _ in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        piece = "".join(words[start:end])
        if kind == "equal" or not piece.strip():
            parts.append(esc(piece))
        else:
            bare = piece.strip()
            before, after = piece[: piece.index(bare)], piece[piece.index(bare) + len(bare) :]
            parts.append(f"{esc(before)}<{tag}>{esc(bare)}</{tag}>{esc(after)}")
    return "".join(parts)


def _card(example: Example) -> str:
    output = example.output
    rows = [("Source", esc(output.source))] if output.source is not None else []
    if output.media is not None:
        rows.append(("Source", media_html(output.media)))
    if output.retrieved:
        rows.append(("Retrieved", esc(output.retrieved)))
    for place, reference in enumerate(output.references):
        near = place == example.nearest
        rows.append(("Reference", highlight(reference, output.hypothesis, "del") if near else esc(reference)))
    hypothesis = '<em class="quiet">(empty)</em>'
    if output.hypothesis.strip():
        references = output.references
        nearest = references[example.nearest] if references else output.hypothesis
        hypothesis = highlight(output.hypothesis, nearest, "ins")
    rows.append(("Output", hypothesis))
    facts = [f"<li>speaker <b>{esc(output.speaker)}</b></li>"] if output.speaker else []
    facts += [f"<li><b>{esc(output.direction)}</b></li>"] if output.direction else []
    if example.chrf is not None:
        facts.append(f"<li>chrF <b>{number(example.chrf)}</b></li>")
    if output.score is not None:
        facts.append(f"<li>log-probability <b>{_log_probability(output.score)}</b></li>")
    lines = "\n".join(f'<div><dt>{name}</dt><dd dir="auto">{text}</dd></div>' for name, text in rows)
    return (
        f'<article class="example" id="example-{esc(output.id)}">\n<header><h4>No. {esc(output.id)}</h4>'
        f"<ul>{''.join(facts)}</ul></header>\n<dl>\n{lines}\n</dl>\n</article>"
    )


def _log_probability(score: float) -> str:
    return f"{score:.2f}".replace("-", "−")
