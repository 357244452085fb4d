"""App summarize: long lines to short ones through the pipeline, and the lengths that one asks for."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from command_line import call
from rouge_score.rouge_scorer import RougeScorer

SETTINGS = (
    "model.encoder_embed_dim=32 model.encoder_hidden_size=64 model.decoder_embed_dim=32 model.decoder_hidden_size=64 "
    "model.dropout=0 subword.size=60 task.max_source_positions=12 dataset.max_tokens=600 optimization.max_update=40 "
    "optimization.lr=[0.01] lr_scheduler=inverse_sqrt lr_scheduler.warmup_updates=10 model.decoder_type=luong "
    "dataset.validate_interval_updates=40 ema.store_ema=false"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str]:
    """A finished run: the folder it was called in, what it printed."""
    folder, draw = tmp_path_factory.mktemp("summarize"), random.Random(1)
    texts = ["".join(f" {letter}" for letter in draw.choices("abcdefgh", k=draw.randint(8, 40))) for _ in range(400)]
    (folder / "my.text").write_text("".join(f"{text.strip()}\n" for text in texts))
    (folder / "my.summary").write_text("".join(" ".join(text.split()[1:6:2]) + "\n" for text in texts))
    own = f"data=files data.source={folder}/my.text data.target={folder}/my.summary"
    return folder, call(f"s2s run app=summarize {own} {SETTINGS}", cwd=folder).stdout


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs/summarize/default/outputs.jsonl").read_text().splitlines()]


def test_scores_are_rouge_beside_the_lead(run: tuple[Path, str]):
    folder, printed = run
    scores = json.loads((folder / "runs/summarize/default/scores.json").read_text())
    kinds = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
    assert list(scores["metrics"]) == list(kinds) and list(scores["baselines"]) == ["lead words", "nearest neighbour"]
    scorer = RougeScorer(list(kinds.values()), use_stemmer=True)
    for texts, found in (
        ([row["hypothesis"] for row in rows(folder)], {n: v["score"] for n, v in scores["metrics"].items()}),
        ([" ".join(row["source"].split()[:3]) for row in rows(folder)], scores["baselines"]["lead words"]),
    ):
        items = [scorer.score(row["reference"], text) for row, text in zip(rows(folder), texts, strict=True)]
        for name, kind in kinds.items():
            assert found[name] == pytest.approx(100 * sum(item[kind].fmeasure for item in items) / len(items), abs=0.01)
    assert "ROUGE-L" in printed and "|stem:porter|" in printed


def test_long_sources_are_read_to_where_they_are_cut(run: tuple[Path, str]):
    folder, _ = run
    lengths = [min(len(row["source"].split()), 11) for row in rows(folder)]  # and </s>
    assert [row["length"] for row in rows(folder)] == lengths
    assert "--max-source-positions 12 --truncate-source" in (folder / "runs/summarize/default/commands.txt").read_text()
    lines = [row["source"] for row in rows(folder)[:2]]
    longer = f"{lines[0]}\n{' '.join(lines[1].split()[:11])} {'h ' * 5000}\n"
    said = call("s2s translate app=summarize", cwd=folder, stdin=longer).stdout.splitlines()
    whole = call("s2s translate app=summarize", cwd=folder, stdin=f"{lines[0]}\n{lines[1]}\n").stdout.splitlines()
    assert said[0] == whole[0] == rows(folder)[0]["hypothesis"]
    assert len(said) == 2 and (len(lines[1].split()) < 11 or said[1] == whole[1])


def test_lengths_are_those_asked_for_and_nothing_is_said_twice(run: tuple[Path, str]):
    folder, _ = run
    call("s2s generate app=summarize generation.min_len=9 generation.max_len_b=14", cwd=folder)
    for row in rows(folder):
        words = row["hypothesis"].split()
        assert 9 <= len("".join(words)) <= 14  # a token is a letter, with or without a space before it
        trigrams = list(zip(words, words[1:], words[2:], strict=False))
        assert len(set(trigrams)) == len(trigrams)
