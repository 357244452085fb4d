"""``data.retrieval``: a source brings the target of the most similar one in training, in every stage the same one."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from command_line import call
from hydra import compose, initialize_config_dir

from s2s_plugin.corpora import directions
from s2s_plugin.errors import UserError
from s2s_plugin.stages import schema as config
from s2s_plugin.stages.prepare.stage import prepare
from s2s_plugin.text.retrieval import Retrieval

SETTINGS = (
    "app=nmt data=files data.shared_targets=true metrics=[s2s_exact] model=tiny model.share_all_embeddings=true "
    "model.pointer=true subword.size=60 dataset.max_tokens=2000 optimization.max_update=300 optimization.lr=[0.01] "
    "lr_scheduler.warmup_updates=20 data.retrieval=true"
)


def word(draw: random.Random, letters: str, length: int) -> str:
    return "".join(draw.choices(letters, k=length))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run on things with a code each, which nothing tells but other lines of the same thing."""
    folder, draw = tmp_path_factory.mktemp("retrieval"), random.Random(1)
    lines = []
    for _ in range(300):
        thing, code = word(draw, "abcdefgh", 8), " ".join(word(draw, "pqrstuvw", 4))
        lines += [(f"{thing} {word(draw, 'xyz', 3)}", code) for _ in range(4)]
    draw.shuffle(lines)
    for side, suffix in enumerate(("thing", "code")):
        (folder / f"my.{suffix}").write_text("".join(f"{line[side]}\n" for line in dict(lines).items()))
    own = f"{SETTINGS} data.source={folder}/my.thing data.target={folder}/my.code"
    call(f"s2s run {own}", cwd=folder)
    return folder, own


def prepared(folder: Path) -> Path:
    return folder / json.loads((folder / "runs/nmt/default/settings.json").read_text())["task.data"]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in lines(folder / "runs/nmt/default/outputs.jsonl")]


@pytest.mark.slow
def test_what_the_others_say_is_copied(run: tuple[Path, str]):
    scores = json.loads((run[0] / "runs/nmt/default/scores.json").read_text())
    assert scores["metrics"]["exact"]["score"] > 80  # a code that is guessed is right once in 4,096
    assert scores["baselines"]["retrieved target"]["exact"] > 80


@pytest.mark.slow
def test_a_source_brings_what_another_one_of_its_thing_has(run: tuple[Path, str]):
    data = prepared(run[0])
    known = dict(zip(lines(data / "text/train.thing"), lines(data / "text/train.code"), strict=True))
    for split in ("train", "valid", "test"):
        right = []
        for text, tokens in zip(
            lines(data / f"text/{split}.thing"), lines(data / f"pieces/{split}.thing"), strict=True
        ):
            retrieved, own = tokens.split(" <retrieved> ")
            assert own.replace(" ", "").replace("▁", " ").strip() == text
            others = [code for other, code in known.items() if other.split()[0] == text.split()[0] and other != text]
            right += [retrieved.replace(" ", "").replace("▁", " ").strip() in others] if others else []
        assert sum(right) > 0.9 * len(right) > 0


def test_one_training_source_in_four_brings_its_own_target():
    """Also of several that are asked the same."""
    pairs = [(f"before {number} <turn> question {number // 2}", f"reply {number}") for number in range(400)]
    memory = Retrieval(pairs)
    own = [number for number, (source, target) in enumerate(pairs) if memory.target(source, target) == target]
    assert 60 < len(own) < 140
    assert {number % 2 for number in own} == {0, 1}
    assert all(memory.target(source) == pairs[number // 2 * 2][1] for number, (source, _) in enumerate(pairs))


def test_of_a_conversation_the_last_turn_is_looked_for():
    memory = Retrieval([("how are you <turn> what is your name", "Alice."), ("hello <turn> how are you", "Fine.")])
    assert memory.target("what is your name <turn> how are you") == "Fine."


@pytest.mark.slow
def test_what_was_brought_is_shown(run: tuple[Path, str]):
    folder, _ = run
    pieces = lines(prepared(folder) / "pieces/test.thing")
    for row, tokens in zip(rows(folder), pieces, strict=True):
        assert row["retrieved"] == tokens.partition(" <retrieved> ")[0].replace(" ", "").replace("▁", " ").strip()
    report = (folder / "runs/nmt/default/report.html").read_text(encoding="utf-8")
    shown = [row for row in rows(folder) if f'<dt>Retrieved</dt><dd dir="auto">{row["retrieved"]}</dd>' in report]
    assert len(shown) >= 15


@pytest.mark.slow
def test_by_hand_the_same_is_read(run: tuple[Path, str]):
    folder, _ = run
    said = call("s2s translate app=nmt", cwd=folder, stdin="".join(f"{row['source']}\n" for row in rows(folder)) + "\n")
    assert said.stdout.splitlines() == [*(row["hypothesis"] for row in rows(folder)), ""]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ("app=nmt subword.joint=false", "requires subword.joint=true"),
        ("app=nmt subword.factors=[case]", "subword.factors"),
        ("app=nmt data.target_lang=[de,ko]", "data.retrieval and several directions"),
        ("app=caption", "requires a text source, got image"),
    ],
)
def test_what_does_not_go_together_is_said(overrides: str, named: str):
    config.register()
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose("s2s", overrides=[*overrides.split(), "data.retrieval=true"])
    directions.join_languages(cfg)
    with pytest.raises(UserError, match=re.escape(named)):
        prepare(cfg)


@pytest.mark.slow
def test_fine_tuning_keeps_it(run: tuple[Path, str]):
    folder, _ = run
    own = f"data=files data.shared_targets=true data.source={folder}/my.thing data.target={folder}/my.code"
    call(f"s2s prepare app=nmt name=tuned finetune_from=default data.held_out=50 {own}", cwd=folder)
    assert len(list((folder / "data-bin").glob("files.*/retrieval.thing"))) == 2


@pytest.mark.slow
def test_another_vocabulary_lacks_the_mark(run: tuple[Path, str]):
    folder, own = run
    call(f"s2s prepare {own} data.retrieval=false", cwd=folder)
    plain = next(path for path in (folder / "data-bin").glob("files.*") if not (path / "retrieval.thing").exists())
    done = call(f"s2s prepare {own} subword.from_dir={plain}", cwd=folder, check=False)
    assert done.returncode == 2 and f"{plain} was prepared without data.retrieval" in done.stderr
