"""What is checked: how bad it is, what it means and what to do; and the result of a check, as text and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from s2s_plugin.checking.index import Index
from s2s_plugin.checking.whole import held_out_rows
from s2s_plugin.utils.columns import fit
from s2s_plugin.utils.console import WIDTH

ERROR, WARNING, NOTE = "error", "warning", "note"
INDENT = 4 * " "
DROP = "leave these training rows out: check.write=FOLDER"


@dataclass(frozen=True)
class Check:
    """One kind of finding.

    Args:
        severity: ``error``: scores or training are wrong; ``warning``: training suffers; ``note``: may be intended.
        title: what the rows are.
        meaning: why it matters, and what to do, in a sentence.
    """

    severity: str
    title: str
    meaning: str


CHECKS = {
    "leak": Check(ERROR, "training pairs that are held out, too", "Scores on them are of what the model has seen; "
                  f"{DROP}, or data.drop_overlap=true."),
    "source_leak": Check(ERROR, "training pairs with a held-out source and another target", "The model has seen these "
                         f"sources; {DROP}, or data.drop_overlap=true."),
    "near_leak": Check(WARNING, "training pairs that are nearly held-out ones", f"Scores are inflated; {DROP}."),
    "unusable": Check(ERROR, "rows that cannot be read", "Training refuses them; correct them, or leave them out: "
                      "data.on_bad_item=skip or check.write=FOLDER."),
    "empty": Check(ERROR, "pairs with an empty side", "They teach nothing; correct them, or leave them out: "
                   "data.on_bad_item=skip or check.write=FOLDER."),
    "mojibake": Check(ERROR, "texts with a broken encoding", "Convert the file again from the original, as UTF-8, or "
                      f"{DROP}."),
    "script": Check(WARNING, "texts in another script than the rest of their side", "Probably of another language, or "
                    f"sides are swapped; correct them, or {DROP}."),
    "copy": Check(WARNING, "pairs whose target is a copy of the source", "The model learns to copy instead of to "
                  f"translate; {DROP}."),
    "language": Check(WARNING, "texts in another language than the rest of their side", "The model would learn to "
                      f"write that language; correct them, or {DROP}."),
    "length": Check(WARNING, "pairs of unusual lengths", "One side probably lacks something, or lines are shifted; "
                    f"correct them, or {DROP}."),
    "duplicate": Check(WARNING, "repeated pairs", f"They weigh more than others; {DROP}. Prepare drops them as well, "
                       "unless held-out files are named."),
    "near_duplicate": Check(WARNING, "pairs that nearly repeat an earlier one", "They weigh more than others, and "
                            f"leak if the corpus is split by chance; {DROP}."),
    "loss": Check(NOTE, "training pairs with the highest loss", "Look whether they are wrong; check.remove=[loss] "
                  "leaves them out, too."),
    "target_leak": Check(NOTE, "training pairs with a held-out target and another source", "Usual for replies and "
                         "labels; else data.drop_overlap=true leaves these training rows out."),
    "near_source_leak": Check(NOTE, "training pairs with nearly a held-out source", "If scores seem too good, "
                              "look here; check.remove=[near_source_leak] leaves them out, too."),
    "near_target_leak": Check(NOTE, "training pairs with nearly a held-out target", "If scores seem too good, "
                              "look here; check.remove=[near_target_leak] leaves them out, too."),
    "same": Check(NOTE, "short pairs with the same text on both sides", "Usually names and numbers; nothing to do."),
    "control": Check(NOTE, "texts with characters that cannot be seen", "Prepare drops these characters (docs/data.md),"
                     " unless subword.lossless=true; nothing to do."),
    "several_targets": Check(NOTE, "sources with several targets", "The model learns their mean; as test set, let it "
                             "have several references: data.several_references=true."),
    "several_sources": Check(NOTE, "targets with several sources", "Usual for replies and labels; a held-out set must "
                             "not have these targets, which prepare sees to."),
}  # fmt: skip
LEAKS = tuple(kind for kind in CHECKS if kind.endswith("leak"))
# not looked for where the sources are media
OF_TEXT = ("copy", "same", "length", "near_duplicate", "near_leak", "near_source_leak", "near_target_leak",
           "several_targets", "several_sources")  # fmt: skip
TRAINING_ONLY = ("several_targets", "several_sources", "loss")


@dataclass(frozen=True)
class Example:
    """A row, and another one that it is about.

    Args:
        where: ``file:line``.
        partner: the same of the other row; empty if there is none.
        detail: what is wrong with it.
        source: text of the row; of an unusable one, empty.
        target: the same.
        partner_source: text of the other row.
        partner_target: the same.
    """

    where: str
    partner: str
    detail: str
    source: str
    target: str
    partner_source: str
    partner_target: str


@dataclass(frozen=True)
class Finding:
    """The rows of one kind.

    Args:
        kind: name in ``CHECKS``.
        severity: see :class:`Check`.
        title: the same.
        count: number of rows; of leaks, of training rows (of validation rows, if the other is in test).
        share: of all rows, in percent.
        held_out: of leaks: number of held-out rows that they concern; else None.
        examples: the first rows, or the worst.
        meaning: see :class:`Check`.
    """

    kind: str
    severity: str
    title: str
    count: int
    share: float
    held_out: int | None
    examples: Sequence[Example]
    meaning: str


@dataclass(frozen=True)
class Result:
    """What a check found.

    Args:
        splits: number of rows and files of each.
        usual: ``source_script``, ``source_language`` and the same of the target, where nearly all agree.
        findings: errors first.
        checked: all kinds that were looked for.
        unchecked: what was not, and why.
    """

    splits: dict[str, tuple[int, list[str]]]
    usual: dict[str, str]
    findings: list[Finding]
    checked: list[str]
    unchecked: list[str]

    @property
    def short_names(self) -> dict[str, str]:
        """Return the names of the files, without their folders if they differ without them."""
        files = [file for _, names in self.splits.values() for file in names]
        short = {file: Path(file).name for file in files}
        return short if len(set(short.values())) == len(short) else {file: file for file in files}

    def as_data(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self)


def collect(index: Index, examples: int, same_language: bool) -> list[Finding]:
    """Return what has been found, errors first; ``same_language``: copies are no mistake."""
    total = index.value("SELECT count(*) FROM row")
    training = index.value("SELECT count(*) FROM row WHERE part = 0")
    counts = dict(index.rows("SELECT kind, count(*) FROM finding GROUP BY kind"))
    findings = []
    for kind, check in CHECKS.items():
        if not (count := counts.get(kind, 0)):
            continue
        severity, meaning = check.severity, check.meaning
        if kind == "copy" and same_language:
            severity, meaning = NOTE, "Both sides seem to be of one language, where that is usual; nothing to do."
        whole = training if kind in TRAINING_ONLY else total
        held_out = held_out_rows(index, kind) if kind in LEAKS else None
        findings.append(Finding(kind, severity, check.title, count, round(100 * count / whole, 3), held_out,
                                list(_examples(index, kind, examples)), meaning))  # fmt: skip
    order = [ERROR, WARNING, NOTE]
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _examples(index: Index, kind: str, limit: int) -> Iterator[Example]:
    query = """
        SELECT f.path || ':' || row.number, g.path || ':' || other.number, detail, row.source, row.target, other.source,
            other.target
        FROM finding JOIN row USING (id) JOIN file f ON f.id = row.file LEFT JOIN row other ON other.id = partner
            LEFT JOIN file g ON g.id = other.file
        WHERE kind = ? ORDER BY rank, row.id LIMIT ?"""
    for cells in index.rows(query, kind, limit):
        yield Example(*(cell or "" for cell in cells))


def lines(result: Result) -> Iterator[str]:
    """Yield the result as lines of at most 80 columns."""
    for split, (count, files) in result.splits.items():
        yield from _wrap(f"{split}: {count:,} pairs, {' '.join(files)}", "", "  ")
    for side in ("source", "target"):
        names = [result.usual[f"{side}_{kind}"] for kind in ("script", "language") if f"{side}_{kind}" in result.usual]
        if names:
            yield f"{side}: {', '.join(names)}"
    for finding in result.findings:
        share = f"{finding.share:.2g}%" if finding.share < 10 else f"{finding.share:.0f}%"
        concerned = "" if finding.held_out is None else f"; they concern {finding.held_out:,} held-out pairs"
        head = f"{finding.severity.upper()} {finding.kind}: {finding.title}: {finding.count:,} ({share}){concerned}"
        yield from ("", *_wrap(head, "", "  "), *_wrap(finding.meaning, "  = ", INDENT))
        for example in finding.examples:
            yield from _example_lines(example, result.short_names)
    clean = [kind for kind in result.checked if kind not in {each.kind for each in result.findings}]
    yield ""
    if clean:
        yield from _wrap(f"none: {', '.join(clean)}", "", "  ")
    for text in result.unchecked:
        yield from _wrap(f"not checked: {text}", "", "  ")


def _wrap(text: str, first: str, rest: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _example_lines(example: Example, short_names: Mapping[str, str]) -> Iterator[str]:
    places = [place for place in (example.where, example.partner) if place]
    shown = " = ".join(
        f"{short_names[file]}:{number}" for file, _, number in (place.rpartition(":") for place in places)
    )
    yield fit(f"{INDENT}{shown}{'  ' if example.detail else ''}{example.detail[: 2 * WIDTH]}", WIDTH)
    texts = [example.source, example.target]
    texts += [text for text in (example.partner_source, example.partner_target) if text not in texts]
    yield from (fit(f"{INDENT}  {text[: 2 * WIDTH]}", WIDTH) for text in texts if text)
