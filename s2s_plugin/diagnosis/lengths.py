"""Challenge 1: long sources."""

from __future__ import annotations

from s2s_plugin.diagnosis.subject import Finding, Row, Subject, overlap
from s2s_plugin.report.sections.lengths import MIN_WIDTHS, bucket_ranges, measure_lengths
from s2s_plugin.report.words import length_ratio

MIN_ITEMS = 20  # of a bucket that is judged
SHORT = 0.9  # ratio of lengths below which outputs lack something


def by_length(subject: Subject) -> Finding | None:
    """Score the outputs by the length of their sources: words, letters of single words, or frames of signals."""
    unit, items = measure_lengths(subject.outputs)
    rows: list[Row] = []
    judged = []
    for low, high in bucket_ranges([length for length, _ in items], MIN_WIDTHS[unit]):
        inside = [output for length, output in items if low <= length and (high is None or length <= high)]
        if not inside:
            continue
        hypotheses, references = [each.hypothesis for each in inside], [each.references for each in inside]
        scored, ratio = subject.score(hypotheses, references), length_ratio(hypotheses, references)
        label = f"{low}+" if high is None else f"{low}–{high}"
        interval = "{:.1f}–{:.1f}".format(*scored["interval"]) if "interval" in scored else None
        rows.append({unit: label, "items": len(inside), subject.metric: scored["score"], "95 %": interval,
                     "length ratio": round(ratio, 2)})  # fmt: skip
        if len(inside) >= MIN_ITEMS:
            judged.append((label, scored, ratio))
    if len(judged) < 2:
        return Finding("Long sources", rows, f"Too few lengths have {MIN_ITEMS} items each to compare them.")
    best = max(judged, key=lambda each: subject.gain(each[1]["score"], 0))
    label, scored, ratio = judged[-1]
    lost = subject.gain(best[1]["score"], scored["score"])
    if best[0] == label or overlap(best[1], scored):
        verdict, remedy = f"Long sources ({label} {unit}) are no harder than others within the intervals.", ""
    else:
        verdict = (
            f"Long sources ({label} {unit}) score {scored['score']:.1f} {subject.metric}, {lost:.1f} worse than those "
            f"of {best[0]} {unit}"
        )
        verdict += f", and their outputs have {ratio:.0%} of the references' length." if ratio < SHORT else "."
        remedy = "more long training pairs; another model.attention"
        if ratio < SHORT:
            remedy = "more long training pairs; a larger generation.lenpen or generation.max_len_b"
    note = f"{subject.metric} {scored['signature']}; length ratio: tokens of the outputs per token of the references"
    return Finding("Long sources", rows, verdict, remedy, (subject.metric,), note)
