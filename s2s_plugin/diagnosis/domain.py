"""Challenge 2: other domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2s_plugin.corpora.recipe import read_text
from s2s_plugin.diagnosis.subject import Finding, Row, Subject, overlap
from s2s_plugin.errors import UserError
from s2s_plugin.report.words import length_ratio, words_of
from s2s_plugin.utils.digests import read_prepared

ORDER = 4  # of the n-grams that are looked for in the training text
OWN = "own test set"


def by_domain(subject: Subject) -> Finding | None:
    """Score further test sets, and look how much of the outputs are n-grams of the training targets.

    Outputs that are fluent and have nothing to do with their source consist of such n-grams (Koehn and Knowles 2017,
    section 3.1).

    Raises:
        UserError: a test set is not ``name=source:reference``, or its files do not fit together.
    """
    if not subject.cfg.diagnose.challenge or subject.from_signals:
        return None
    path = subject.prepared / "text" / f"train.{subject.cfg.data.target_lang}"
    known = set() if not path.is_file() else {gram for line in read_prepared(path) for gram in ngrams(line)}
    outputs = subject.outputs
    found = {
        OWN: _measure(subject, [each.hypothesis for each in outputs], [each.references for each in outputs], known)
    }
    translator = subject.translator(nbest=1)
    for text in subject.cfg.diagnose.challenge:
        name, sources, references = read_challenge(str(text))
        hypotheses = [each.text for each in translator.translate(sources)]
        found[name] = _measure(subject, hypotheses, [[reference] for reference in references], known)
    rows = [{"test set": name, **values} for name, (values, _) in found.items()]
    own = found.pop(OWN)
    name, (values, scored) = max(found.items(), key=lambda item: subject.gain(own[1]["score"], item[1][1]["score"]))
    lost = subject.gain(own[1]["score"], scored["score"])
    if lost <= 0 or overlap(own[1], scored):
        verdict, remedy = "None of the other test sets scores worse than the own one, within the intervals.", ""
    else:
        verdict = (
            f"On {name} the score is {scored['score']:.1f} {subject.metric}, {lost:.1f} worse than on the own test set"
        )
        share = f"{ORDER}-grams from training %"
        if isinstance(mine := own[0][share], float) and isinstance(theirs := values[share], float):
            verdict += f"; {theirs:.0f} % of its outputs' {ORDER}-grams are of the training text ({mine:.0f} % here)"
        verdict, remedy = f"{verdict}.", "finetune_from=RUN with pairs of that domain"
    note = f"{subject.metric} {scored['signature']}"
    return Finding("Other domains", rows, verdict, remedy, (subject.metric,), note)


def read_challenge(text: str) -> tuple[str, list[str], list[str]]:
    """Read a test set ``name=source:reference``: its name, sources and references."""
    name, _, files = text.partition("=")
    source, _, reference = files.rpartition(":")
    if not (name and source and reference):
        raise UserError(f"diagnose.challenge must be a list of name=source:reference, got {text}")
    sides = [read_text(Path(path).expanduser()).splitlines() for path in (source, reference)]
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise UserError(
            f"diagnose.challenge: {source} has {len(sides[0]):,} lines and {reference} {len(sides[1]):,}; they must be "
            "parallel"
        )
    return name, sides[0], sides[1]


def _measure(
    subject: Subject, hypotheses: Sequence[str], references: Sequence[list[str]], known: set[tuple[str, ...]]
) -> tuple[Row, Mapping[str, Any]]:
    scored = subject.score(hypotheses, references)
    grams = [gram for text in hypotheses for gram in ngrams(text)]
    share = round(100 * sum(gram in known for gram in grams) / len(grams), 1) if known and grams else None
    row: Row = {"items": len(hypotheses), subject.metric: scored["score"],
                "length ratio": round(length_ratio(hypotheses, references), 2),
                f"{ORDER}-grams from training %": share}  # fmt: skip
    return row, scored


def ngrams(text: str) -> list[tuple[str, ...]]:
    """Return the n-grams of words of a text."""
    words = words_of(text)
    return list(zip(*(words[start:] for start in range(ORDER)), strict=False))
