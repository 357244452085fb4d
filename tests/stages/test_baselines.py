"""Trivial baselines of text: which there are, what they say, and that an app's own are scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from hydra import compose, initialize_config_dir

from s2s_plugin.errors import UserError
from s2s_plugin.stages import schema as config
from s2s_plugin.stages.baselines import baselines, check_baselines, lead_words, nearest_texts

TRAIN = [("open the door", "ok"), ("open the window", "yes sir"), ("who are you ?", "a model"), ("the the the", "no")]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    for side, lang in enumerate(("en", "de")):
        (tmp_path / "text" / f"train.{lang}").write_text("".join(pair[side] + "\n" for pair in TRAIN))
    return tmp_path


def texts_of(names: list[str], prepared: Path, *sources: str) -> dict[str, list[str]]:
    rows = [{"source": source, "reference": "x"} for source in sources]
    return baselines(names, prepared, "en", "de", "test", rows)


def test_each_under_its_label_and_in_the_order_asked(prepared: Path):
    found = texts_of(["neighbour", "copy", "lead"], prepared, "Who is it?", "shut the window now please")
    assert list(found) == ["nearest neighbour", "copy of the source", "lead words"]
    assert found["copy of the source"] == ["Who is it?", "shut the window now please"]
    assert found["nearest neighbour"] == ["a model", "yes sir"]
    assert texts_of([], prepared, "who") == {}


def test_a_neighbour_is_of_the_row_s_own_direction(tmp_path: Path):
    """The source is the same; what is most similar in the other language's half would be a better match."""
    (tmp_path / "text").mkdir()
    pairs = [
        ("<2de> a tree", "ein Baum"),
        ("<2de> the bird", "der Vogel"),
        ("<2ko> a tree", "나무"),
        ("<2ko> big", "큰"),
    ]
    for side, name in enumerate(("train.en", "train.de_ko")):
        (tmp_path / "text" / name).write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    asked = [("the bird", "en-de"), ("the bird is big", "en-ko"), ("a tree", "en-ko"), ("a tree", "en-de")]
    rows = [{"source": source, "reference": "x", "direction": direction} for source, direction in asked]
    found = baselines(["neighbour"], tmp_path, "en", "de_ko", "test", rows)
    assert found == {"nearest neighbour": ["der Vogel", "큰", "나무", "ein Baum"]}


def test_lead_has_as_many_words_as_training_targets_have():
    targets = ["one", "one two", "one two three four five six"]  # 3 on average
    assert lead_words(["a b  c d e", "a"], targets) == ["a b c", "a"]
    assert lead_words(["a b c"], ["word"] * 9 + ["two words"]) == ["a"]


def test_neighbours_are_found_by_their_words():
    assert nearest_texts(["a b", "c d", "C, d!"], ["d c", "z", "D"]) == [1, 0, 1]


@pytest.mark.parametrize(("names", "source"), [(["copy", "leed"], "en"), (["lead"], "audio"), (["frequent"], "ko")])
def test_what_there_is_not_is_named(names: list[str], source: str):
    with pytest.raises(UserError, match=f"baselines must be among .* for a source of .*, got {names[-1]}"):
        check_baselines(names, source)


@pytest.mark.parametrize("app", sorted(path.stem for path in (config.CONF / "app").glob("*.yaml")))
def test_every_app_names_what_its_source_can_have(app: str):
    config.register()
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose("s2s", overrides=[f"app={app}"])
    assert cfg.baselines
    check_baselines(cfg.baselines, cfg.data.source_lang)


@pytest.mark.slow
def test_a_run_scores_the_baselines_that_it_names(tmp_path: Path, own_files: Path):
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    recipe = f"{files} model=tiny subword.size=40 optimization.max_update=3 checkpoint_metric=loss metrics=[s2s_bleu]"
    done = call(f"s2s run app=nmt {recipe} baselines=[lead,neighbour] perplexity=true", cwd=tmp_path)
    run = tmp_path / "runs/nmt/default"
    scores = json.loads((run / "scores.json").read_text())["baselines"]
    assert list(scores) == ["lead words", "nearest neighbour"] and all("BLEU" in each for each in scores.values())
    assert f"({scores['lead words']['BLEU']:.2f} lead words, " in done.stdout
    assert "lead words" in (run / "report.html").read_text(encoding="utf-8")

    call("s2s score app=nmt", cwd=tmp_path)  # needs only app and name
    again = json.loads((run / "scores.json").read_text())
    assert again["baselines"] == scores and "perplexity" in again["metrics"]
    done = call("s2s score app=nmt baselines=[none]", cwd=tmp_path, check=False)
    assert (
        done.returncode == 2
        and "baselines must be among copy, lead, neighbour for a source of text, got none" in done.stderr
    )
