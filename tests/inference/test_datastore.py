"""``s2s datastore``, and translations with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference.datastore import datastore, nearest
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import load_translator
from s2s_plugin.search.knn.datastore import Datastore

SOURCES, TARGETS = ("a b c", "d e f g", "h i"), ("A B", "B A A", "C C C")  # nothing is reversed in this domain


@pytest.fixture
def domain(small_model: Path, tmp_path: Path) -> tuple[RunDir, Path]:
    """The run, and a datastore of another domain, made by the command."""
    for name, lines in (("new.en", SOURCES), ("new.de", TARGETS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    words = ["s2s", "datastore", f"run_dir={small_model}/runs/nmt/default", "app=nmt"]
    done = call([*words, "new.en", "new.de", "task.knn=store"], tmp_path)
    assert done.stdout == "datastore store\n"
    assert "3 pairs" in done.stderr
    return RunDir(small_model / "runs/nmt/default"), tmp_path / "store"


def config(run: RunDir, knn: Path | None, **options):
    cfg = OmegaConf.load(run.config)
    cfg.task.data, cfg.workers, cfg.task.knn = str(run.data), 1, None if knn is None else str(knn)
    cfg.task.update(options)
    return cfg


def test_another_domain_without_training(domain: tuple[RunDir, Path]):
    run, store = domain
    with_store = load_translator(config(run, store, knn_weight=1.0, knn_neighbors=1), run)
    assert [each.text for each in with_store.translate(SOURCES)] == list(TARGETS)
    assert [each.text for each in load_translator(config(run, None), run).translate(SOURCES)] != list(TARGETS)


def test_its_neighbors_explain_an_output(domain: tuple[RunDir, Path]):
    run, store = domain
    translator = load_translator(config(run, store), run)
    source = translator.encode(SOURCES[1])
    (hypothesis,) = load_translator(config(run, store, knn_weight=1.0, knn_neighbors=1), run).translate(SOURCES[1:2])
    states = nearest(translator, source, hypothesis, count=2)
    assert [each[0].token for each in states] == list(hypothesis.target_tokens)
    assert all(each[0].source == SOURCES[1] and len(each) == 2 for each in states)
    assert states[-1][0].before == TARGETS[1] and states[0][0].before == ""
    assert all(1 >= first.weight >= second.weight for first, second in states)
    words = ["s2s", "translate", "app=nmt", f"run_dir={run.folder}", SOURCES[1], f"task.knn={store}"]
    lines = call([*words, "generation.print_alignment=hard"], store.parent).stdout.splitlines()
    assert sum("nearest states" in line for line in lines) == 1 and max(map(len, lines)) <= 80
    assert sum(line.strip() == SOURCES[1] for line in lines) > 1
    words[1] = "explain"
    explained = call(words, store.parent).stdout.splitlines()
    shown = explained[next(number for number, line in enumerate(explained) if "nearest states" in line) :]
    assert sum(line.strip() == SOURCES[1] for line in shown) > 1
    values = json.loads(call([*words, "explain.json=true"], store.parent).stdout)
    assert [len(each) for each in values["nearest_states"]] == [2] * len(values["target_tokens"])
    assert {state["source"] for each in values["nearest_states"] for state in each} <= {*SOURCES}


def test_the_training_pairs_by_default(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(small_model)
    run = RunDir(Path("runs/nmt/default"))
    datastore(config(run, tmp_path / "store"), run, [])
    store = Datastore(tmp_path / "store")
    prepared = Path(run.read_settings()["task.data"])
    assert store.read_sources() == (prepared / "text/train.en").read_text().splitlines()
    assert len(store.keys) == len(store.values) > len(store.starts)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1", "2", "3"], "got 3 files"),
        (["nowhere.csv"], "nowhere.csv"),
        (["long.en", "long.de"], "no pair has at most"),
    ],
)
def test_mistakes(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    for name in ("long.en", "long.de"):
        Path(name).write_text("a " * 2000 + name)
    run = RunDir(small_model / "runs/nmt/default")
    with pytest.raises(UserError, match=message):
        datastore(config(run, tmp_path / "store"), run, files)
    assert not (tmp_path / "store").exists()
