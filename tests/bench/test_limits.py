"""``docs/limits.md`` shows what ``bench/results/limits.json`` has."""

from __future__ import annotations

import argparse
import json
import re
from types import ModuleType

import pytest
from command_line import ROOT
from hydra import compose, initialize_config_dir

from s2s_plugin.cli.overrides import quote_overrides
from s2s_plugin.stages import schema


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    from limits import page

    return page


def test_the_page_shows_every_result_as_it_is(page: ModuleType):
    text, results = page.PAGE.read_text(encoding="utf-8"), page.read_result(page.RESULTS) or {}
    assert text == page.render(text, results), "make limit-memory ARGS=--page"
    shown = {block.group(2, 3) for block in page.BLOCK.finditer(text)}
    assert shown >= {(lab, name) for lab, experiments in results.items() for name in experiments}
    for image in re.findall(r"\]\((images/limit-[^)]*)\)", text):
        assert (ROOT / "docs" / image).is_file()


def test_a_record_becomes_a_table_with_its_recipe_and_a_plot(page: ModuleType, tmp_path, monkeypatch):
    recipe = {"data": "letters", "split": "own", "metric": "exact", "beam": 5, "lenpen": 1.0, "seeds": [1, 2, 3],
              "updates": 300, "seconds": 90, "machine": "2 cores"}  # fmt: skip
    rows = [{"model": "plain", "short": [50.0, 51.0, 55.0], "long": [10.0]}, {"model": "other", "short": 1.25}]
    record = {"rows": rows, "recipe": recipe, "plot": {"title": "by length", "x": "letters", "y": "exact"}}
    text = "# Page\n\n<!-- limits: memory.toy -->\nold\n<!-- end -->\n\n<!-- limits: memory.none -->\n<!-- end -->\n"
    first, second = page.render(text, {"memory": {"toy": record}}).split("<!-- end -->\n\n")
    assert "| plain | 52.0 (50.0–55.0) | 10.0 |" in first and "| other | 1.2 |" in first
    assert "![by length](images/limit-memory-toy.svg)" in first and "old" not in first
    assert "beam 5, length penalty 1.0; mean and range of 3 seeds; 300 updates, median 1.5 minutes a run" in first
    assert "Not measured: `make limit-memory`." in second
    rows[1]["long"] = 0.0
    page.draw(record, tmp_path / "images" / "plot.svg")
    drawn = (tmp_path / "images" / "plot.svg").read_text(encoding="utf-8")
    assert all(f">{label}<" in drawn for label in ("plain", "other", "short", "long", "letters", "exact"))
    record["plot"] |= {"bars": True, "rows": ["plain", "other"]}
    record["rows"] += [{"model": "published", "short": "14 to 21", "long": ""}]
    rows[1]["long"] = ""
    page.draw(record, tmp_path / "images" / "bars.svg")
    assert "14 to 21" not in (tmp_path / "images" / "bars.svg").read_text(encoding="utf-8")
    del record["plot"]["bars"]
    rows[1]["long"] = 0.0
    page.draw(record, tmp_path / "images" / "again.svg")
    assert len((tmp_path / "images" / "again.svg").read_bytes()) == len(drawn.encode())


def test_rows_as_points(page: ModuleType, tmp_path):
    rows = [{"model": "tuned", "gain": [2.0, 4.0], "change": [-3.0, -1.0]}]
    plot = {"title": "both", "x": "change, BLEU", "y": "gain, BLEU", "points": ["change", "gain"]}
    page.draw({"rows": rows, "plot": plot}, tmp_path / "points.svg")
    drawn = (tmp_path / "points.svg").read_text(encoding="utf-8")
    assert all(f">{label}<" in drawn for label in ("tuned", "gain, BLEU", "change, BLEU"))


def test_settings_of_the_laboratory_of_structure_compose(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    from limits import structure

    for settings in (structure._scan_settings(), structure._translation_settings()):
        words = " ".join(settings.values()).split()  # of all runs at once: the last value of each counts
        schema.register()
        with initialize_config_dir(str(schema.CONF), version_base="1.3"):
            assert compose("s2s", overrides=list(dict.fromkeys(words))).data.recipe in ("scan", "multi30k")


def test_a_finished_run_is_kept_and_one_of_other_settings_refused(page: ModuleType, tmp_path, monkeypatch):
    from limits import lab

    monkeypatch.setattr(lab, "ROOT", tmp_path)
    monkeypatch.setattr(lab, "RUNS", tmp_path / "runs")
    folder = tmp_path / "runs" / "toy" / "plain.1"
    folder.mkdir(parents=True)
    command = "s2s run app=nmt common.seed=1 run_dir=runs/toy/plain.1"
    (folder / lab.MADE).write_text(json.dumps({"command": command}))
    options = argparse.Namespace(seeds=1, jobs=2)
    assert lab.train("toy", {"plain": "app=nmt"}, options) == {"plain": [folder]}
    with pytest.raises(SystemExit, match="was made by other settings, delete it"):
        lab.train("toy", {"plain": "app=code"}, options)


def test_settings_of_the_laboratory_of_domains_compose(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    from limits import domain

    tuned = domain._settings("runs/base", ("old.en", "old.de"), "synthetic.jsonl")
    schema.register()
    for settings in (*domain.DOMAINS.values(), domain.REVERSE, *tuned.values(), *domain.TASKS.values()):
        with initialize_config_dir(str(schema.CONF), version_base="1.3"):
            cfg = compose("s2s", overrides=quote_overrides(settings.split()))
        assert cfg.data.recipe and (cfg.finetune_from == "runs/base") == (settings in tuned.values())
