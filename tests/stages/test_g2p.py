"""App g2p: letters to phones through the pipeline, with averaged weights, and words by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from command_line import call

PHONES = dict(zip("abcdefgh", ["a̠", "b", "t͡s", "d", "e̞", "f", "ɡ", "h"], strict=True))
SETTINGS = (
    "model=tiny model.share_all_embeddings=false dataset.max_tokens=500 optimization.max_update=120 "
    "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 ema.store_ema=true ema.ema_decay=0.9 "
    "dataset.validate_interval_updates=60 dataset.validate_interval=1000"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str, str]:
    """A finished run: the folder it was called in, its overrides, what it printed."""
    folder, draw = tmp_path_factory.mktemp("g2p"), random.Random(1)
    words = sorted({"".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(600)})
    (folder / "my.word").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    lines = (" ".join(PHONES[letter] for letter in word) for word in words)
    (folder / "my.ipa").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    own = f"app=g2p data=files data.source={folder}/my.word data.target={folder}/my.ipa {SETTINGS}"
    return folder, own, call(f"s2s run {own}", cwd=folder).stdout


def test_scores_are_of_phones_and_whole_words(run: tuple[Path, str, str]):
    folder, _, printed = run
    scores = json.loads((folder / "runs/g2p/default/scores.json").read_text())
    rows = [json.loads(line) for line in (folder / "runs/g2p/default/outputs.jsonl").read_text().splitlines()]
    wrong = sum(row["hypothesis"] != row["reference"] for row in rows)
    assert scores["metrics"]["WER"]["score"] == pytest.approx(100 * wrong / len(rows), abs=0.01)
    assert scores["metrics"]["WER"]["score"] < 50
    assert scores["metrics"]["PER"]["signature"].startswith("per|norm:none|unit:phone")
    assert "WER " in printed


def test_a_letter_and_a_phone_are_a_symbol(run: tuple[Path, str, str]):
    prepared = next((run[0] / "data-bin").glob("files.word-ipa.*"))
    symbols = (prepared / "dict.ipa.txt").read_text(encoding="utf-8")
    assert "▁t͡s " in symbols
    assert len(symbols.splitlines()) == len(PHONES)


@torch.no_grad()
def test_the_average_of_the_weights_is_what_decodes(run: tuple[Path, str, str]):
    checkpoints = run[0] / "runs/g2p/default/checkpoints"
    best, averaged = (torch.load(checkpoints / f"checkpoint_best{end}.pt", weights_only=True) for end in ("", ".ema"))
    assert averaged["model"].keys() == best["model"].keys()
    for name, value in averaged["model"].items():
        assert torch.equal(value, best["extra_state"]["ema"][name])
    assert any(not torch.equal(value, best["model"][name]) for name, value in averaged["model"].items())
    assert json.loads((run[0] / "runs/g2p/default/scores.json").read_text())["checkpoint"] == "checkpoint_best.ema.pt"
    commands = (run[0] / "runs/g2p/default/commands.txt").read_text()
    assert "--store-ema --ema-decay 0.9" in commands and "checkpoint_best.ema.pt" in commands


def test_words_by_hand(run: tuple[Path, str, str]):
    folder, _, _ = run
    rows = (folder / "runs/g2p/default/outputs.jsonl").read_text().splitlines()[:3]
    words = [json.loads(row)["source"] for row in rows]
    said = call(f"s2s pronounce {' '.join(words)}", cwd=folder).stdout
    assert said == "".join(f"{json.loads(row)['source']}\t{json.loads(row)['hypothesis']}\n" for row in rows)
    done = call("s2s pronounce", cwd=folder, check=False)
    assert done.returncode == 2 and "name the words" in done.stderr


def test_one_vocabulary_has_one_kind(run: tuple[Path, str, str], tmp_path: Path):
    done = call(f"s2s prepare {run[1]} subword.joint=true", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "subword.target_kind=word requires subword.joint=false" in done.stderr
