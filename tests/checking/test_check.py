"""``s2s check`` on files with planted mistakes."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
import re
import shutil
import sys
from pathlib import Path

import pytest
from command_line import ROOT, call
from mistakes import mistake
from own_tables import data_config
from recipes import sample

from s2s_plugin.checking.cleaned import check_destination
from s2s_plugin.checking.corpus import locate, read_corpus
from s2s_plugin.checking.findings import CHECKS
from s2s_plugin.checking.language import load_identifier
from s2s_plugin.checking.losses import PairLoss
from s2s_plugin.checking.scan import Scan
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.check.command import kinds_to_remove
from s2s_plugin.stages.check.data_options import overrides_of
from s2s_plugin.stages.score import perplexity
from s2s_plugin.utils.columns import width

COLORS = (
    ("red", "rot"),
    ("green", "grün"),
    ("blue", "blau"),
    ("brown", "braun"),
    ("white", "weiß"),
    ("black", "schwarz"),
)
OTHERS = dict.fromkeys(f"{prefix}{kind}" for prefix in ("", "valid_", "test_") for kind in ("dialogues", "manifest"))
ANIMALS = ("dog", "Hund"), ("bear", "Bär"), ("fox", "Fuchs"), ("wolf", "Wolf"), ("donkey", "Esel"), ("tiger", "Tiger")
PLACES = ("field", "das Feld"), ("road", "die Straße"), ("yard", "den Hof"), ("ice", "das Eis"), ("sand", "den Sand")
TIMES = ("morning", "Morgen"), ("evening", "Abend"), ("afternoon", "Nachmittag")


def clean_pairs() -> list[tuple[str, str]]:
    """540 different translations."""
    pairs = [
        (f"In the {time[0]} a {color[0]} {animal[0]} runs slowly across the {place[0]}.",
         f"Am {time[1]} läuft ein Tier, {color[1]} und ein {animal[1]}, langsam über {place[1]}.")
        for time in TIMES for color in COLORS for animal in ANIMALS for place in PLACES
    ]  # fmt: skip
    return random.Random(1).sample(pairs, len(pairs))


def planted() -> tuple[list[tuple[str, str]], list[tuple[str, str]], dict[str, list[int]]]:
    """Training and test pairs, and the numbers of the training pairs that each finding has, from 1."""
    pairs = clean_pairs()
    train, test = pairs[:500], pairs[500:]
    train[19] = train[4][0].upper(), train[4][1] + " "
    train[29] = train[5][0].replace("slowly", "slowley"), train[5][1]
    train[39] = test[0]
    train[49] = test[1][0], "Ein ganz anderer Satz, der hier als Übersetzung steht."
    train[59] = test[2][0].replace("slowly", "slowlly"), test[2][1]
    train[69] = "", train[69][1]
    train[79] = train[79][0], train[79][1].encode().decode("cp1252", "replace")
    train[89] = train[89][0], "Вечером собака медленно бежит по белому полю."
    train[99] = train[99][0], "Le soir, un chien blanc court lentement à travers le champ."
    train[109] = train[109][0], train[109][0]
    train[119] = train[119][0], "Abend."
    train[129] = train[129][0], train[129][1][:9] + "\u200b" + train[129][1][9:]
    train[139] = "OK 42", "OK 42"
    expected = {"duplicate": [20], "near_duplicate": [30], "leak": [40], "source_leak": [50], "near_leak": [60],
                "empty": [70], "mojibake": [80], "script": [90], "language": [100], "copy": [110], "length": [120],
                "control": [130], "same": [140]}  # fmt: skip
    return train, test, expected


def write_files(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    for side, language in enumerate(("en", "de")):
        (folder / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")


COMMAND = "s2s check my.en my.de data.test_source=test.en data.test_target=test.de"


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> tuple[Path, str, str]:
    """The folder of two files and of their copy, and what is found, as JSON and as text."""
    folder = tmp_path_factory.mktemp("checked")
    train, test, _ = planted()
    write_files(folder, "my", train)
    write_files(folder, "test", test)
    found = call(f"{COMMAND} check.json=true check.examples=50 check.write=clean", cwd=folder)
    assert f"clean: {500 - 11} training pairs kept, 11 left out" in " ".join(found.stderr.split())
    return folder, found.stdout, call(COMMAND, cwd=folder).stdout


def findings(printed: str) -> dict[str, dict]:
    return {finding["kind"]: finding for finding in json.loads(printed)["findings"]}


def test_each_planted_mistake_is_found_where_it_is_and_no_other(checked: tuple[Path, str, str]):
    pytest.importorskip("ftfy")
    pytest.importorskip("py3langid")
    found = findings(checked[1])
    for kind, numbers in planted()[2].items():
        assert [int(each["where"].rpartition(":")[2]) for each in found[kind]["examples"]] == numbers, kind
        assert found[kind]["count"] == len(numbers)
    assert found.keys() - planted()[2].keys() <= {"target_leak", "several_targets", "several_sources"}
    assert found["leak"]["examples"][0]["partner"] == "test.en:1" and found["leak"]["held_out"] == 1
    assert found["near_leak"]["examples"][0]["partner"] == "test.en:3"
    assert found["duplicate"]["examples"][0]["partner"] == "my.en:5"
    assert found["script"]["examples"][0]["detail"] == "target: Cyrillic, not Latin"
    assert found["language"]["examples"][0]["detail"] == "target: fr, not de"


def test_the_text_says_the_same_in_eighty_columns(checked: tuple[Path, str, str]):
    _, found, printed = checked
    text = " ".join(printed.split())
    for kind, finding in findings(found).items():
        assert f"{finding['severity'].upper()} {kind}: {CHECKS[kind].title}: {finding['count']}" in text
        assert CHECKS[kind].meaning in text
        assert finding["examples"][0]["where"] in text
    assert "train: 500 pairs, my.en my.de" in text and "test: 40 pairs, test.en test.de" in text
    assert "none: unusable" in text and "not checked: loss" in text
    assert max(map(width, printed.splitlines())) <= 80


def test_the_copy_has_the_other_lines_as_they_were_and_a_list(checked: tuple[Path, str, str]):
    folder, _, _ = checked
    _, _, expected = planted()
    notes = ("control", "same")
    gone = sorted(number for kind, numbers in expected.items() if kind not in notes for number in numbers)
    for language in ("en", "de"):
        lines = (folder / f"my.{language}").read_bytes().splitlines(keepends=True)
        kept = b"".join(line for number, line in enumerate(lines, start=1) if number not in gone)
        assert (folder / f"clean/my.{language}").read_bytes() == kept
        assert (folder / f"clean/test.{language}").read_bytes() == (folder / f"test.{language}").read_bytes()
    rows = list(
        csv.reader((folder / "clean/removed.tsv").open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE)
    )
    assert rows[0] == ["file", "line", "reason", "detail", "other", "source", "target"]
    assert [int(row[1]) for row in rows[1:]] == gone
    assert {int(row[1]): row[2] for row in rows[1:]} == {
        number: kind for kind, numbers in expected.items() if kind not in notes for number in numbers
    }
    assert {path.name for path in folder.iterdir()} == {"my.en", "my.de", "test.en", "test.de", "clean"}


def test_a_copy_is_clean(checked: tuple[Path, str, str], tmp_path: Path):
    command = COMMAND.replace("my.", f"{checked[0]}/clean/my.").replace("=test", f"={checked[0]}/clean/test")
    found = findings(call(f"{command} check.json=true", cwd=tmp_path).stdout)
    assert all(finding["severity"] == "note" for finding in found.values())


def test_other_kinds_of_data(tmp_path: Path):
    pairs = clean_pairs()
    write_files(tmp_path, "prefix", pairs[:100])
    english = (tmp_path / "prefix.en").rename(tmp_path / "plain.en")
    (tmp_path / "prefix.en.gz").write_bytes(gzip.compress(english.read_bytes()))
    printed = call("s2s check prefix data.source_lang=en data.target_lang=de", cwd=tmp_path).stdout
    assert printed.startswith("train: 100 pairs, prefix.en.gz prefix.de\n")
    rows = [("1", "a.wav", "good morning"), ("2", "b.wav", "good evening"), ("3", "a.wav", "good morning")]
    for name, some in (("media.tsv", rows), ("test.tsv", rows[1:2])):
        (tmp_path / name).write_text("".join("\t".join(row) + "\n" for row in [("id", "audio", "tgt_text"), *some]))
    printed = call("s2s check media.tsv data.test_manifest=test.tsv check.write=clean", cwd=tmp_path).stdout
    assert "media.tsv:4 = media.tsv:2" in printed and "media.tsv:3 = test.tsv:2" in printed
    assert (tmp_path / "clean/media.tsv").read_text() == "id\taudio\ttgt_text\n1\ta.wav\tgood morning\n"


def test_a_recipe_leaves_nothing_behind(tmp_path: Path):
    files = sample("sigmorphon2020")
    printed = call(f"s2s check app=g2p data=sigmorphon2020 data.from_dir={files}", cwd=tmp_path).stdout
    assert "train: 3,600 pairs, sigmorphon2020/train." in printed and "leak, source_leak" in printed
    assert not any(tmp_path.iterdir())  # and the folder itself is there


def test_copies_are_usual_between_sides_of_one_language(tmp_path: Path):
    sources = [pair[0] for pair in clean_pairs()[:200]]
    pairs = [(text, text.replace("slowly", "fast") if number % 2 else text) for number, text in enumerate(sources)]
    write_files(tmp_path, "my", pairs)
    found = findings(call("s2s check my.en my.de check.json=true check.write=clean", cwd=tmp_path).stdout)
    assert found["copy"]["severity"] == "note" and "one language" in found["copy"]["meaning"]
    assert len((tmp_path / "clean/my.en").read_text().splitlines()) == 200


def test_mistakes_are_one_line(checked: tuple[Path, str, str]):
    folder, _, _ = checked
    mistake(folder, "s2s check my.en test.de check.examples=0", "my.en has 500 lines but test.de has 40")
    mistake(folder, "s2s check my.en my.de check.examples=-1", "check.examples must be at least 0, got -1")
    mistake(folder, "s2s check my.en my.de check.run=my.en", "my.en: not the folder of a run")
    with pytest.raises(UserError, match=r"check.remove must be among errors, .*got luck"):
        kinds_to_remove(["luck"])
    with pytest.raises(UserError, match=r"check.write=.*clean: exists and is not empty"):
        check_destination(folder / "clean")
    for files, message in (
        ({"dialogues": "my.txt", "name": "dialogues"}, "reads pairs, got data.dialogues"),
        ({"source": ["a.en", "b.en"], "target": ["a.de", "b.de"]}, "one direction"),
    ):
        with pytest.raises(UserError, match=message):
            locate(data_config(**{"name": "files", "recipe": None, **OTHERS, **files}), folder)


@pytest.mark.slow  # a dozen seconds
def test_the_documented_commands_run(small_model: Path, tmp_path: Path):
    page = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    write_files(tmp_path, "my", clean_pairs()[:60])
    write_files(tmp_path, "test", clean_pairs()[60:80])
    rows = ["en,de", *(f'"{source}","{target}"' for source, target in clean_pairs()[:60])]
    (tmp_path / "my.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for command in re.findall(r"^s2s check .+$", page, re.MULTILINE):
        call(command.partition(" >")[0].replace("runs/nmt/mine", f"{small_model}/runs/nmt/default"), cwd=tmp_path)
        shutil.rmtree(tmp_path / "cleaned", ignore_errors=True)


def test_the_command_line_means_these_options(small_model: Path, tmp_path: Path):
    (tmp_path / "my.csv").write_text("a,b\n")
    (tmp_path / "my.tsv").write_text("id\timage\ttgt_text\n")
    assert overrides_of(["my.csv"], []) == ["data.pairs=my.csv"]
    assert overrides_of([f"{tmp_path}/my.tsv"], []) == [f"data.manifest={tmp_path}/my.tsv"]
    assert overrides_of(["a", "b"], []) == ["data.source=a", "data.target=b"]
    assert overrides_of([], ["data=multi30k"]) == []
    (text,) = (small_model / "data-bin").glob("*/text")
    splits = {"": "train", "valid_": "valid", "test_": "test"}
    assert overrides_of([str(text.parent)], []) == [
        f"data.{prefix}{side}={text}/{split}.{language}"
        for prefix, split in splits.items()
        for side, language in (("source", "en"), ("target", "de"))
    ]
    for words, message in (([], "requires DATA"), (["a", "b", "c"], "got 3 files")):
        with pytest.raises(UserError, match=message):
            overrides_of(words, ["app=nmt"])


def test_without_the_extra_it_says_what_it_does_not_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load_identifier.cache_clear()
    for name in ("ftfy", "py3langid", "py3langid.langid"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    scan = Scan(tmp_path, signal=False)
    assert scan.unchecked == [
        "mojibake in parts of a text, which requires ftfy: pip install 's2s-plugin[check]'",
        "languages, which requires py3langid: pip install 's2s-plugin[check]'",
    ]
    train, _, expected = planted()
    write_files(tmp_path, "my", train)
    scan.read(read_corpus(data_config(source=f"{tmp_path}/my.en", target=f"{tmp_path}/my.de")))
    found = list(scan.index.rows("SELECT id FROM finding WHERE kind IN ('copy', 'empty') ORDER BY id"))
    assert [number for (number,) in found] == [*expected["empty"], *expected["copy"]]


def test_the_loss_is_that_of_the_perplexity(small_model: Path):
    run = RunDir(small_model / "runs/nmt/default")
    loss = PairLoss(run.best_checkpoint(), run.data, cpu=True)
    source, target = ((run.data / f"text/test.{side}").read_text().splitlines() for side in ("en", "de"))
    right = dict(loss(list(zip(range(len(source)), source, target, strict=True))))
    tokens = [len(loss.codec.target.encode(text).split()) + 1 for text in target]
    mean = sum(right[number] * count for number, count in enumerate(tokens)) / sum(tokens)
    assert math.exp(mean) == pytest.approx(perplexity(run.best_checkpoint(), str(run.data), "test")["score"], abs=0.006)
    swapped = dict(loss(list(zip(range(len(source)), source, [*target[1:], target[0]], strict=True))))
    assert sum(swapped[number] > right[number] for number in right) > 0.7 * len(right)


def test_pairs_with_a_high_loss_are_named(small_model: Path, own_files: Path, tmp_path: Path):
    sides = [(own_files / f"letters.{side}").read_text().splitlines()[:60] for side in ("en", "de")]
    sides[1][30] = "A A A A A A A A"
    write_files(tmp_path, "my", list(zip(*sides, strict=True)))
    run = small_model / "runs/nmt/default"
    printed = call(f"s2s check my.en my.de check.run={run} check.json=true", cwd=tmp_path).stdout
    worst = findings(printed)["loss"]["examples"][0]
    assert worst["where"] == "my.en:31" and "nats a token, usual: " in worst["detail"]


def test_the_page_has_the_figures_of_the_benchmark():
    page = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    record = json.loads((ROOT / "bench/results/check.json").read_text(encoding="utf-8"))
    for kind, row in record["planted"].items():
        assert f"| `{kind}` | {row['found']} of {row['planted']} | {row['in unchanged pairs']} |" in page
    for row in record["sizes"].values():
        assert f"| {row['rows']:,} | {row.get('cpu_seconds', '–')} | {row['seconds']} | {row['megabytes']} |" in page
    assert all(f"`{kind}`" in page for kind in CHECKS)
