"""Scores by source length: sentences in words, signals in frames."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from report_run import PAIRS, read, squeeze, write_run

from s2s_plugin.errors import UserError
from s2s_plugin.report.page import write_report
from s2s_plugin.report.sections.lengths import bucket_ranges
from s2s_plugin.report.words import count_words


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_bucket_scores_are_sacrebleus(run_dir: Path) -> None:
    import sacrebleu

    text = squeeze(read(write_report(run_dir)).text)
    short = [(h, r) for s, r, h in PAIRS if count_words(s) <= 50]
    hypotheses, references = [h for h, _ in short], [[r for _, r in short]]
    bleu = sacrebleu.corpus_bleu(hypotheses, references).score
    chrf = sacrebleu.corpus_chrf(hypotheses, references).score
    assert f"1–50{len(short)}{bleu:.1f}{chrf:.1f}" in text  # the row of the table
    assert "151–2001" in text


@pytest.mark.parametrize(
    ("lengths", "first", "last"),
    [
        ([*range(1, 60), 200], (1, 10), (51, None)),
        ([100, 200, 3000], (1, 500), (2501, None)),
        ([0], (0, 10), (51, None)),
    ],
)
def test_bucket_ranges_meet(lengths: list[int], first: tuple, last: tuple) -> None:
    ranges = bucket_ranges(lengths)
    assert (ranges[0], ranges[-1]) == (first, last)
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(ranges))


def write_signals(run_dir: Path, lengths: list[int]) -> None:
    """Outputs without source text: of two words the second is wrong in those up to 100 frames long."""
    items = [
        {"id": n, "source": None, "reference": "one two", "hypothesis": "one " + ("too" if length <= 100 else "two")}
        for n, length in enumerate(lengths)
    ]
    lines = [json.dumps({**item, "length": length}) for item, length in zip(items, lengths, strict=True)]
    (run_dir / "outputs.jsonl").write_text("\n".join(lines))


def test_signals_are_scored_by_the_metrics_of_the_run_over_frames(run_dir: Path) -> None:
    pytest.importorskip("jiwer")
    write_signals(run_dir, [90, 95, 150, 250])
    (run_dir / "config.yaml").write_text("metrics: [s2s_wer, s2s_exact, s2s_cer]\n")
    text = squeeze(read(write_report(run_dir)).text)
    assert "Scores by source length in frames FramesnWER lower is betterexact" in text
    for row in ("51–100250.00.0", "101–15010.0100.0", "201–25010.0100.0"):
        assert row in text
    assert "wer|norm:basic|unit:word" in text and "exact|norm:basic" in text


def test_options_of_the_runs_scorer_count(run_dir: Path) -> None:
    (run_dir / "config.yaml").write_text("scoring: {_name: s2s_bleu, sacrebleu_lowercase: true}\n")
    page = read(write_report(run_dir))
    assert "BLEU nrefs:1|case:lc" in page.text
    assert "lower is better" not in squeeze(page.text).split("Scores by source length")[2]


def test_signals_of_one_length_are_not_compared(run_dir: Path) -> None:
    write_signals(run_dir, [64, 64, 64])
    assert "All sources are equally long" in read(write_report(run_dir)).text


def test_single_words_are_compared_by_letters(run_dir: Path) -> None:
    pytest.importorskip("jiwer")
    words = ["ab", "abc", "abcd", "abcdefg"]
    items = [{"id": n, "source": w, "reference": "A B", "hypothesis": "A B" if n else "A"} for n, w in enumerate(words)]
    (run_dir / "outputs.jsonl").write_text("\n".join(json.dumps({**item, "length": 1}) for item in items))
    (run_dir / "config.yaml").write_text("metrics: [s2s_g2p_wer, s2s_per]\n")
    text = squeeze(read(write_report(run_dir)).text)
    assert "LettersnWER lower is betterPER" in text
    for row in ("1–21100.050.0", "3–420.00.0", "7–810.00.0"):
        assert row in text


def test_unknown_metric_is_named(run_dir: Path) -> None:
    (run_dir / "config.yaml").write_text("metrics: [s2s_sari]\n")
    with pytest.raises(UserError, match=r"metrics must be among .*s2s_bleu.*, got s2s_sari"):
        write_report(run_dir)
