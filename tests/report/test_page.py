"""The page of a report: self-contained, complete, and clear about what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from report_run import INPUTS, SIGNATURE, read, squeeze, write_run

from s2s_plugin.errors import UserError
from s2s_plugin.report.page import write_report


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_page_is_self_contained(run_dir: Path) -> None:
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    page = read(path)
    links = page.attributes("a", "href") + page.attributes("img", "src")
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert page.attributes("script", "src") == []
    ids = [value for _, attrs in page.tags if (value := attrs.get("id"))]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert "url(" not in path.read_text() and "@import" not in path.read_text()


def test_header_scores_commands_and_configuration(run_dir: Path) -> None:
    text = squeeze(read(write_report(run_dir)).text)
    for part in ("toy & co", "multi30k", "31.2", "51.0", SIGNATURE, "higher is better", "lower is better"):
        assert part in text
    for part in ("95 % interval 30.0 to 32.6", f"{SIGNATURE}|bs:1000|seed:12345"):
        assert part in text
    for part in (
        "copy of the source 3.1",
        "beam 5, lenpen 1.0",
        "200 updates, 0.5 epochs, 10 min 1 s",
        "54,321 parameters, encoder 2 × bidirectional GRU 64, decoder 1 × LSTM 32 (luong), attention dot",
        "products bf16",
        "test, 1,000 sentences",
    ):
        assert part in text
    for part in (
        "fairseq-preprocess --source-lang de",
        "fairseq-train data \\ --arch s2s",
        "data: {name: multi30k}",
    ):
        assert part in text


def test_directions_have_a_row_each_and_a_column_for_each_of_their_metrics(run_dir: Path) -> None:
    scores = json.loads((run_dir / "scores.json").read_text())
    found = {
        "sentences": 7,
        "metrics": {"BLEU": {"score": 33.1, "interval": [31.9, 34.4]}, "distinct-1": {"score": 5.0}},
        "baselines": {"copy": {"BLEU": 1.0, "distinct-1": 60.0}},
    }
    scores["metrics"]["perplexity"] = {"score": 4.2}
    (run_dir / "scores.json").write_text(json.dumps({**scores, "directions": {"en-de": found, "en-ko": found}}))
    page = write_report(run_dir).read_text()
    head, *rows = re.findall("<tr>.*?</tr>", page[page.index('<th scope="col">Direction') - len("<tr>") :])[:3]
    assert re.findall(r">([\w-]+)<", head) == ["Direction", "n", "BLEU", "distinct-1"]
    for row, name in zip(rows, ("en-de", "en-ko"), strict=True):
        assert f'>{name}</th><td>7</td><td><b>33.1</b> <span class="interval">[31.9, 34.4]<' in row
        assert "<td><b>5.0</b><" in row


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_or_empty_file_leaves_a_note(run_dir: Path, name: str, empty: bool) -> None:
    (run_dir / name).unlink()
    if empty:
        (run_dir / name).touch()
    text = squeeze(read(write_report(run_dir)).text)
    assert f"Nothing in {name} yet. The" in text
    assert text.count("Nothing in") == (2 if name == "outputs.jsonl" else 1)


def test_an_empty_run_folder(tmp_path: Path) -> None:
    text = read(write_report(tmp_path)).text
    assert text.count("Nothing in") == 6
    assert tmp_path.name in text


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: not a run folder"):
        write_report(tmp_path / "nowhere")


def test_length_ratio_counts_tokens_against_the_closest_reference(run_dir: Path) -> None:
    items = [
        {"id": 0, "hypothesis": "a, b", "reference": ["a", "a b c d"]},
        {"id": 1, "hypothesis": "a b c", "reference": "a b"},
        {"id": 2, "hypothesis": "no reference"},
    ]
    (run_dir / "outputs.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    assert "Length ratio1.00 (" in squeeze(read(write_report(run_dir)).text)


def test_only_changed_options_are_unfolded(run_dir: Path) -> None:
    page = write_report(run_dir, lambda options: {"name": options["name"]}).read_text()
    shown, folded = page[page.index("The options that differ") :].split("<details>")
    assert "name: toy &amp; co" in shown and "multi30k" not in shown
    assert "data: {name: multi30k}" in folded
