"""Challenge 3: rare words."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from s2s_plugin.diagnosis.subject import Finding, Row, Subject
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.report.words import words_of
from s2s_plugin.text.normalize import SPACE

RARE = 1  # occurrences in training at most
FREQUENT = 64  # at least
SMALL_LOSS = 0.8  # share of the recall of frequent words that is good for rare ones
REMEDY = "another subword.size; model.pointer=true to copy names; more training text"
MIN_WORDS = 20  # of a class that is judged
STARTS = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # of the classes of words by their occurrences in training


def by_word_frequency(subject: Subject) -> Finding:
    """Compare words of the outputs with the references, by how often training targets have them.

    The recall of a class of words is the share of its words in the references that the outputs have too; the
    precision is the share of its words in the outputs that the references have (compare-mt, Neubig et al. 2019). For
    models of text with attention, each word of a source counts as translated if an output word that attends to it most
    is in the reference, and as dropped if none attends to it.
    """
    counts = subject.train_counts(subject.cfg.data.target_lang)
    if counts is None:
        return Finding("Rare words", [], "Not measured: this requires the training text, which is with the run's data.")
    right, in_output, in_reference = Counter[str](), Counter[str](), Counter[str]()
    for output in subject.outputs:
        hypothesis = Counter(words_of(output.hypothesis))
        reference = Counter(words_of(output.references[0]))
        for other in output.references[1:]:
            reference |= Counter(words_of(other))
        right += hypothesis & reference
        in_output += hypothesis
        in_reference += reference
    rows: list[Row] = []
    rare, frequent = Counter[str](), Counter[str]()
    for number, low in enumerate(STARTS):
        chosen = [word for word in in_output | in_reference if class_of(counts[word]) == number]
        hits, wanted, written = (sum(each[word] for word in chosen) for each in (right, in_reference, in_output))
        rows.append({"in training": _label(number), "words": wanted, "recall %": _percent(hits, wanted),
                     "precision %": _percent(hits, written)})  # fmt: skip
        if low <= RARE:
            rare.update(hits=hits, wanted=wanted)
        elif low >= FREQUENT:
            frequent.update(hits=hits, wanted=wanted)
    source = _source_words(subject)
    for row, extra in zip(rows, source, strict=True) if source else ():
        row |= extra
    title = "Rare words"
    bars = [name for name in rows[0] if name.endswith("%")]
    note = f"{len(subject.outputs)} items; recall and precision of target words by their frequency in training"
    if min(rare["wanted"], frequent["wanted"]) < MIN_WORDS:
        return Finding(title, rows, "Too few words are rare, or frequent, to compare them.", "", bars, note)
    rare_recall, recall = (each["hits"] / each["wanted"] for each in (rare, frequent))
    verdict = (
        f"Of the reference words that training has at most once, {rare_recall:.0%} are in the outputs; of those "
        f"that it has {FREQUENT} times or more, {recall:.0%}."
    )
    remedy = (
        ""
        if rare_recall > 0.8 * recall
        else "another subword.size; model.pointer=true to copy names; more training text"
    )
    return Finding(title, rows, verdict, remedy, bars, note)


def class_of(count: int) -> int:
    """Return the number of the class of a word that occurs so often in training."""
    return bisect_right(STARTS, count) - 1


def _label(number: int) -> str:
    if number == len(STARTS) - 1:
        return f"{STARTS[-1]}+"
    low, high = STARTS[number], STARTS[number + 1] - 1
    return str(low) if low == high else f"{low}–{high}"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _source_words(subject: Subject) -> list[Row]:
    """Return what becomes of source words, for each class; nothing if the attention does not tell."""
    if subject.from_signals or subject.cfg.model.get("attention", "none") == "none":
        return []
    counts = subject.train_counts(subject.cfg.data.source_lang)
    if counts is None:
        return []
    translator = subject.translator(beam=1, nbest=1, print_alignment="hard", replace_unk=None)
    if translator.models[0].encoder.stride != 1 or translator.models[0].encoder.group != 1:
        return []
    sources = subject.sources(subject.outputs, translator)
    fates: dict[int, Counter[str]] = defaultdict(Counter)
    for output, source, hypothesis in zip(subject.outputs, sources, translator.decode(sources), strict=True):
        reference = Counter(word for text in output.references for word in set(words_of(text)))
        for word, fate in word_fates(translator.source_tokens(source), hypothesis, reference):
            fates[class_of(counts[word])][fate] += 1
    return [
        {
            "source words": fates[number].total(),
            "translated %": _percent(fates[number]["right"], fates[number].total()),
            "dropped %": _percent(fates[number]["dropped"], fates[number].total()),
        }
        for number in range(len(STARTS))
    ]


def word_fates(source: Sequence[str], hypothesis: Hypothesis, reference: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield each word of a source with what became of it: right, wrong or dropped.

    Args:
        source: tokens, including </s>.
        hypothesis: with attention weights.
        reference: words that are right in the output.
    """
    target_words, weights = joined_attention(source, hypothesis)
    source_words = [word for word, _ in group_tokens(source[:-1])]
    aligned = weights.argmax(axis=1) if weights.size else np.zeros(0, int)
    for place, text in enumerate(source_words):
        for word in words_of(text):
            written = [
                w for other, to in zip(target_words, aligned, strict=True) if to == place for w in words_of(other)
            ]
            fate = "right" if any(reference[other] for other in written) else "wrong" if written else "dropped"
            yield word, fate


def joined_attention(source: Sequence[str], hypothesis: Hypothesis) -> tuple[list[str], np.ndarray]:
    """Return the words of a hypothesis, and how much each attends to each word of the source.

    A word's weight on another is the mean over its tokens of the sum over the other's.
    """
    weights = np.asarray(hypothesis.attention or [])
    targets, sources = group_tokens(hypothesis.target_tokens[:-1]), group_tokens(source[:-1])
    if not (weights.size and targets and sources):
        return [], np.zeros((0, 0))
    matrix = [[weights[np.ix_(rows, columns)].sum(1).mean() for _, columns in sources] for _, rows in targets]
    return [word for word, _ in targets], np.array(matrix)


def group_tokens(tokens: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Join subwords to words, each with the positions of its tokens; tokens of whole words are left as they are."""
    starts = [token.startswith(SPACE) for token in tokens]
    if not any(starts):
        return [(token, [number]) for number, token in enumerate(tokens)]
    words: list[tuple[str, list[int]]] = []
    for number, (token, start) in enumerate(zip(tokens, starts, strict=True)):
        if start or not words:
            words.append((token.removeprefix(SPACE), [number]))
        else:
            word, positions = words[-1]
            words[-1] = (word + token, [*positions, number])
    return words
