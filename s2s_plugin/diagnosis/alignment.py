"""Challenge 5: does attention align words?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from s2s_plugin.corpora.recipe import read_text
from s2s_plugin.diagnosis.rare_words import group_tokens, joined_attention
from s2s_plugin.diagnosis.subject import Finding, Row, Subject, sample
from s2s_plugin.errors import UserError
from s2s_plugin.explain.attribution import attribute
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.translator import Translator
from s2s_plugin.utils.digests import read_prepared
from s2s_plugin.utils.io import read_lines

ITEMS = 500
MAX_PAIRS = 20_000  # of the training set that the aligner reads too
GOOD = 0.6  # share of aligned words that attend to the right word most
Links = set[tuple[int, int]]  # source and target word


def by_alignment(subject: Subject) -> Finding | None:
    """Compare the attention to references with word alignments, as in section 3.5 of the paper.

    Match: share of aligned target words that attend most to a word they are aligned to. Mass: mean attention of aligned
    target words to the words they are aligned to. AER: alignment error rate of "attends most" (Och and Ney 2003), with
    the links of both directions of the aligner as sure and those of either as possible.
    """
    if subject.from_signals or subject.cfg.model.get("attention", "none") == "none":
        return None
    outputs = sample(subject.outputs, ITEMS)
    translator = subject.translator(beam=1, nbest=1)
    if translator.models[0].encoder.stride != 1 or translator.models[0].encoder.group != 1:
        return None
    sources = subject.sources(outputs, translator)
    attended = [
        forced_attention(translator, source, output.references[0])
        for source, output in zip(sources, outputs, strict=True)
    ]
    words = [[word for word, _ in group_tokens(translator.source_tokens(source)[:-1])] for source in sources]
    targets = [target for target, _ in attended]
    if (path := subject.cfg.diagnose.alignments) is not None:
        lines = read_text(Path(path).expanduser()).splitlines()
        if len(lines) != len(subject.outputs):
            raise UserError(
                f"{path}: expected a line for each of {len(subject.outputs):,} test items, got {len(lines):,}"
            )
        sure = possible = [read_links(line) for line in sample(lines, ITEMS)]
        method = f"alignments of {path}"
    else:
        aligned = align(subject, translator, words, targets)
        if aligned is None:
            return Finding("Alignment", [], "Not measured: word alignments require eflomal (pip install eflomal), or "
                           "diagnose.alignments=FILE.")  # fmt: skip
        sure, possible = aligned
        method = "eflomal"
    return compare_attention(attended, sure, possible, f"{len(outputs)} test items with their references, {method}")


def compare_attention(attended: Sequence, sure: Sequence[Links], possible: Sequence[Links], note: str) -> Finding:
    """Compare the most attended words with alignments, see :func:`by_alignment`.

    Args:
        attended: for each item the T target words and their T x S attention weights.
        sure: for each item the links that an alignment must have.
        possible: those that it may have, with the sure ones.
        note: what the links are.
    """
    matches, masses = [], []
    hits, links = 0, 0  # as AER counts them
    for (targets, weights), certain, likely in zip(attended, sure, possible, strict=True):
        strongest = {(int(weights[row].argmax()), row) for row in range(len(targets)) if weights.size}
        hits += len(strongest & certain) + len(strongest & likely)
        links += len(strongest) + len(certain)
        for row in range(len(targets) if weights.size else 0):
            columns = [column for column, to in likely if to == row and column < weights.shape[1]]
            if columns:
                matches.append(int(weights[row].argmax()) in columns)
                masses.append(float(weights[row, columns].sum()))
    if not matches:
        return Finding("Alignment", [], "No word is aligned.", note=note)
    match, mass = float(np.mean(matches)), float(np.mean(masses))
    verdict = f"{match:.0%} of the aligned words attend most to the word that they translate"
    if match >= GOOD:
        verdict, remedy = f"{verdict}: attention can be read as an alignment.", ""
    else:
        verdict = f"{verdict}: attention should not be read as an alignment."
        remedy = "criterion.alignment_weight=0.1 with alignments of the data; another model.attention"
    shares = {"match %": match, "mass %": mass, "AER %": 1 - hits / max(1, links)}
    measured: Row = {"aligned words": len(matches), **{name: round(100 * share, 1) for name, share in shares.items()}}
    return Finding("Alignment", [measured], verdict, remedy, tuple(shares), note)


def forced_attention(translator: Translator, source: torch.Tensor, reference: str) -> tuple[list[str], np.ndarray]:
    """Return the words of a reference and how much each attends to each source word when the model is led along it."""
    task, target = translator.task, translator.target_ids(reference)
    weights = attribute(translator, source, target).attention
    assert weights is not None
    tokens = [task.target_dictionary[number] for number in target.tolist()]
    return joined_attention(
        translator.source_tokens(source), Hypothesis(target_tokens=tokens, attention=weights.tolist())
    )


def read_links(line: str) -> Links:
    """Read links of source and target words, counted from 0: ``0-0 1-2``."""
    try:
        return {(int(source), int(target)) for source, _, target in (link.partition("-") for link in line.split())}
    except ValueError:
        raise UserError(f"alignments must be lines such as 0-0 1-2, got {line[:40]}") from None


def align(
    subject: Subject, translator: Translator, sources: Sequence[list[str]], targets: Sequence[list[str]]
) -> tuple[list[Links], list[Links]] | None:
    """Align words by eflomal, which reads some of the training pairs too; None if it is not installed.

    Returns:
        links of both directions, and of either.
    """
    try:
        import eflomal
    except ImportError:
        return None
    texts = [[" ".join(words) for words in side] for side in (sources, targets)]
    languages = (subject.cfg.task.source_lang, subject.cfg.task.target_lang)
    paths = [subject.prepared / "pieces" / f"train.{language}" for language in languages]
    if all(path.is_file() for path in paths):
        for side, path in zip(texts, paths, strict=True):
            lines = read_prepared(path)[:MAX_PAIRS]
            side += [" ".join(word for word, _ in group_tokens(line.split())) for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("forward", "reverse")]
        eflomal.Aligner().align(*texts, *files)
        forward, reverse = ([read_links(line) for line in read_lines(Path(file))] for file in files)
    both = [one & other for one, other in zip(forward, reverse, strict=True)][: len(sources)]
    either = [one | other for one, other in zip(forward, reverse, strict=True)][: len(sources)]
    return both, either
