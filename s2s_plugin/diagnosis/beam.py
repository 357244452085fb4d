"""Challenge 6: large beams."""

from __future__ import annotations

from typing import Any

from s2s_plugin.diagnosis.subject import Finding, Row, Subject, overlap, sample
from s2s_plugin.report.words import length_ratio

ITEMS = 200


def by_beam(subject: Subject) -> Finding | None:
    """Decode some items with beams of several sizes, with the run's length normalization and without."""
    if subject.cfg.generation.sampling:
        return None
    outputs = sample(subject.outputs, ITEMS)
    references = [output.references for output in outputs]
    rows: list[Row] = []
    found: dict[tuple[int, bool], tuple[dict[str, Any], float]] = {}
    for beam in subject.cfg.diagnose.beams:
        row: Row = {"beam": beam}
        for normalized in (True, False):
            options: dict[str, Any] = {"beam": beam, "nbest": 1, "unnormalized": not normalized}
            texts = [hypothesis.text for hypothesis in subject.decode(outputs, **options)]
            scored, ratio = subject.score(texts, references), length_ratio(texts, references)
            found[beam, normalized] = scored, ratio
            suffix = "" if normalized else ", unnormalized"
            row |= {subject.metric + suffix: scored["score"], "length ratio" + suffix: round(ratio, 2)}
        rows.append(row)
    return Finding(
        "Large beams", rows, *_judge(subject, found), bars=[name for name in rows[0] if subject.metric in name],
        note=f"{len(outputs)} items; {subject.metric} {scored['signature']}",
    )  # fmt: skip


def _judge(subject: Subject, found: dict[tuple[int, bool], tuple[dict[str, Any], float]]) -> tuple[str, str]:
    """Return the verdict and the remedy."""
    own, beams = subject.cfg.generation.beam, subject.cfg.diagnose.beams
    best = max(beams, key=lambda beam: subject.gain(found[beam, True][0]["score"], 0))
    highest, widest = found[best, True][0], found[beams[-1], True][0]
    lost = subject.gain(highest["score"], widest["score"])
    verdict, remedy = f"A beam of {best} scores best, {highest['score']:.1f} {subject.metric}", ""
    if own in beams and overlap(found[own, True][0], highest):
        verdict += "" if own == best else f"; the run's beam of {own} is equal within the intervals"
    elif own in beams:
        remedy = f"generation.beam={best}"
    harm = "loses nothing" if lost < 0.5 else f"loses {lost:.1f}"
    bare, ratio = found[beams[-1], False]
    drop = subject.gain(highest["score"], bare["score"])
    verdict += f"; one of {beams[-1]} {harm}"
    verdict += f", without length normalization {drop:.1f}, with {ratio:.0%} of the references' length."
    if lost >= 1 and not remedy:
        remedy = f"keep generation.beam near {best}"
    return verdict, remedy
