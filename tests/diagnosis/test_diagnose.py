"""``s2s diagnose`` on a small finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import call
from mistakes import mistake

MEASURES = "diagnose.measures=[length,words,domain,source,beam] diagnose.beams=[1,5,10]"


@pytest.fixture(scope="module")
def diagnosed(small_model: Path, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a diagnosed run, and what was printed."""
    folder = tmp_path_factory.mktemp("diagnosed") / "copy"
    shutil.copytree(small_model, folder)
    (folder / "new.en").write_text("z z z\nx y\n")
    (folder / "new.de").write_text("Q Q Q\nW W\n")
    challenge = "diagnose.challenge=[new=new.en:new.de]"
    return folder, call(f"s2s diagnose runs/nmt/default {challenge} {MEASURES}", cwd=folder).stdout


def findings(folder: Path) -> dict[str, dict]:
    content = json.loads((folder / "runs/nmt/default/diagnosis.json").read_text(encoding="utf-8"))
    return {finding["title"]: finding for finding in content["findings"]}


def test_figures_are_those_of_the_run(diagnosed: tuple[Path, str]):
    folder, _ = diagnosed
    found = findings(folder)
    assert list(found) == ["Long sources", "Rare words", "Other domains", "Use of the source", "Large beams"]
    scores = json.loads((folder / "runs/nmt/default/scores.json").read_text())["metrics"]
    own, new = found["Other domains"]["rows"]
    assert own["BLEU"] == scores["BLEU"]["score"] and new["BLEU"] < own["BLEU"]
    assert found["Other domains"]["verdict"].startswith("On new the score is ")
    (by_length,) = found["Long sources"]["rows"]  # all sources are short
    assert by_length["BLEU"] == scores["BLEU"]["score"]
    at_five = next(row for row in found["Large beams"]["rows"] if row["beam"] == 5)
    assert at_five["BLEU"] == scores["BLEU"]["score"]
    bits = [row["bits per token"] for row in found["Use of the source"]["rows"]]
    assert bits[0] < min(bits[1:])  # reversed letters depend on their order
    words = found["Rare words"]["rows"]
    rows = [json.loads(line) for line in (folder / "runs/nmt/default/outputs.jsonl").read_text().splitlines()]
    assert sum(row["words"] for row in words) == sum(len(row["reference"].split()) for row in rows)


def test_each_has_a_sentence_in_terminal_and_report(diagnosed: tuple[Path, str]):
    folder, printed = diagnosed
    text = " ".join(printed.split())
    page = (folder / "runs/nmt/default/report.html").read_text(encoding="utf-8")
    for finding in findings(folder).values():
        assert finding["verdict"].endswith(".") and f"= {finding['verdict']}" in text
        assert finding["verdict"] in page.replace("&#39;", "'")
    assert max(map(len, printed.splitlines())) <= 80


def test_other_findings_of_the_same_outputs_stay(diagnosed: tuple[Path, str], tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(diagnosed[0], folder)
    before = findings(folder)
    printed = call("s2s diagnose runs/nmt/default diagnose.measures=[beam] diagnose.beams=[1]", cwd=folder).stdout
    after = findings(folder)
    assert list(after) == list(before) and len(after["Large beams"]["rows"]) == 1
    assert {title: after[title] for title in after if title != "Large beams"} == {
        title: before[title] for title in before if title != "Large beams"
    }
    assert "Large beams" in printed and "Rare words" not in printed
    info = folder / "runs/nmt/default/generated.json"
    content = json.loads(info.read_text(encoding="utf-8"))
    content.pop("crc32")
    info.write_text(json.dumps(content | {"key": "of other outputs"}), encoding="utf-8")
    call("s2s diagnose runs/nmt/default diagnose.measures=[length]", cwd=folder)
    assert list(findings(folder)) == ["Long sources"]


def test_mistakes_are_one_line(diagnosed: tuple[Path, str], tmp_path: Path):
    folder, _ = diagnosed
    mistake(folder, "s2s diagnose runs/nmt", "runs/nmt: not the folder of a run such as runs/nmt/default")
    mistake(folder, "s2s diagnose runs/nmt/default diagnose.measures=[luck]", "must be among length, words", "got luck")
    mistake(folder, "s2s diagnose runs/nmt/default diagnose.challenge=[x]", "name=source:reference, got x")
    mistake(tmp_path, "s2s diagnose app=nmt", "run")


@pytest.mark.slow  # three trainings
def test_a_learning_curve_trains_on_parts(diagnosed: tuple[Path, str]):
    folder, _ = diagnosed
    call("s2s diagnose runs/nmt/default diagnose.measures=[data]", cwd=folder)
    finding = findings(folder)["Amount of data"]
    assert [row["training pairs"] for row in finding["rows"]] == ["1/27", "1/9", "1/3", "all"]
    scores = [row["BLEU"] for row in finding["rows"]]
    assert scores[0] < scores[-1]
    log = (folder / "runs/nmt/default/shares/1-27/log.txt").read_text(encoding="utf-8")
    assert log.count('"valid_loss"') == 10
