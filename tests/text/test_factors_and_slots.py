"""Source factors and slots for copying, from a user's text files to the output: what only they make possible."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from command_line import call

SETTINGS = (
    "app=nmt metrics=[s2s_exact] data=files model=tiny model.share_all_embeddings=false subword.kind=word "
    "dataset.max_tokens=1000 optimization.max_update=130 optimization.lr=[0.01] lr_scheduler.warmup_updates=20"
)


def write(folder: Path, pairs: list[tuple[str, str]]) -> str:
    """The pairs as files; the settings that name them."""
    for side, suffix in enumerate(("src", "tgt")):
        (folder / f"my.{suffix}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    return f"data.source={folder}/my.src data.target={folder}/my.tgt"


def exact(folder: Path) -> float:
    scores = json.loads((folder / "runs/nmt/default/scores.json").read_text(encoding="utf-8"))
    return scores["metrics"]["exact"]["score"]


@pytest.fixture(scope="module")
def shouted(tmp_path_factory) -> tuple[Path, str]:
    """Letters that are written in upper case where their factor says so, which nothing else does."""
    folder, draw = tmp_path_factory.mktemp("factors"), random.Random(1)
    pairs = set()
    while len(pairs) < 1500:
        words = [
            (draw.choice("abcde"), draw.choice(("up", "low")), draw.choice("xy")) for _ in range(draw.randint(1, 4))
        ]
        source = " ".join("|".join(word) for word in words)
        pairs.add((source, " ".join(word.upper() if case == "up" else word for word, case, _ in words)))
    own = f"{SETTINGS} subword.joint=false subword.factors=[case,kind] {write(folder, sorted(pairs))}"
    call(f"s2s run {own}", cwd=folder)
    return folder, own


def test_factors_decide(shouted: tuple[Path, str]):
    folder, _ = shouted
    assert exact(folder) > 90  # without factors one letter in two would be wrong
    prepared = next((folder / "data-bin").glob("files.src-tgt.*"))
    tokens = {line.split()[0] for line in (prepared / "dict.src.txt").read_text(encoding="utf-8").splitlines()}
    assert tokens == {*(f"▁{letter}" for letter in "abcde"), "case=up", "case=low", "kind=x", "kind=y"}
    assert "--encoder-factors 2" in (folder / "runs/nmt/default/commands.txt").read_text(encoding="utf-8")


def test_unknown_words_are_copied_from_the_source(shouted: tuple[Path, str]):
    """Of a model that may write only unknown words; z is in no vocabulary, and factors are no words."""
    folder, _ = shouted
    unknown = "app=nmt generation.unkpen=-50 generation.max_len_a=0 generation.max_len_b=1 generation.replace_unk=''"
    said = call(f"s2s translate {unknown}", cwd=folder, stdin="z|up|x\nb|up|y\n").stdout
    assert said.splitlines() == ["z", "b"]
    call(f"s2s generate {unknown}", cwd=folder)
    rows = (folder / "runs/nmt/default/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, rows):
        assert row["hypothesis"] in [word.split("|")[0] for word in row["source"].split()]
    call("s2s generate app=nmt", cwd=folder)


def test_constraints_by_hand(shouted: tuple[Path, str]):
    folder, _ = shouted
    command = "s2s translate app=nmt generation.constraints=unordered"
    assert "E D" in call(command, cwd=folder, stdin="a|up|x b|low|y\tE D\n").stdout


def test_factors_by_hand(shouted: tuple[Path, str]):
    folder, _ = shouted
    said = call("s2s translate app=nmt", cwd=folder, stdin="a|up|x b|low|y\nc|low|x\n").stdout
    assert said.splitlines() == ["A b", "c"]
    refused = call("s2s translate app=nmt", cwd=folder, stdin="a|up b|low|y\n", check=False)
    assert refused.returncode == 2
    assert "'a|up' lacks a factor; write each word as word|case|kind" in refused.stderr


def test_factors_through_plain_fairseq(shouted: tuple[Path, str]):
    """fairseq-generate and fairseq-interactive need to know nothing of factors."""
    folder, _ = shouted
    prepared = next((folder / "data-bin").glob("files.src-tgt.*"))
    checkpoint = folder / "runs/nmt/default/checkpoints/checkpoint_best.pt"
    plain = f"{prepared} --user-dir s2s_plugin --task s2s -s src -t tgt --cpu --path {checkpoint}"
    printed = call(f"fairseq-generate {plain} --print-alignment hard").stdout
    aligned = [line.split("\t")[1].split() for line in printed.splitlines() if line.startswith("A-")]
    assert max(int(link.split("-")[0]) for links in aligned for link in links) <= 4  # memory steps, not tokens
    lines = call(f"fairseq-interactive {plain}", stdin="d|up|y e|up|x\n").stdout.splitlines()
    assert [line.split("\t")[2] for line in lines if line.startswith("D-")] == ["D E"]


def test_other_data_than_the_model_expects_is_refused(shouted: tuple[Path, str]):
    folder, _ = shouted
    prepared = next((folder / "data-bin").glob("files.src-tgt.*"))
    refused = call(
        f"fairseq-train {prepared} --user-dir s2s_plugin --task s2s -s src -t tgt --cpu --arch s2s_tiny "
        f"--encoder-factors 1 --optimizer adam --lr 0.01 --max-tokens 500 --save-dir {folder}/other",
        check=False,
    )
    assert refused.returncode != 0
    assert "model.encoder_factors=1 requires as many factors after each token" in refused.stderr
    assert not list((folder / "other").glob("*.pt"))


@pytest.mark.slow
def test_words_of_no_vocabulary_are_copied(tmp_path: Path):
    """Names that occur once, in the source and in the target, among words that are translated."""
    draw = random.Random(1)

    def pair() -> tuple[str, str]:
        words = [draw.choice("abcde") for _ in range(draw.randint(1, 3))]
        places = draw.sample(range(len(words) + 1), k=draw.randint(1, 2))
        for place in sorted(places, reverse=True):
            words.insert(place, "".join(draw.choices("qrstuvwxyz", k=6)))
        return " ".join(words), " ".join(word.upper() if len(word) == 1 else word for word in words)

    own = write(tmp_path, [pair() for _ in range(1500)])
    call(f"s2s run {SETTINGS} subword.size=14 subword.copy_slots=4 model.pointer=true {own}", cwd=tmp_path)
    assert exact(tmp_path) > 90
    said = call("s2s translate app=nmt", cwd=tmp_path, stdin="a Liechtenstein b\nZürich c\n").stdout
    assert said.splitlines() == ["A Liechtenstein B", "Zürich C"]
