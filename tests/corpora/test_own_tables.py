"""Tables of a user's pairs through the commands."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from command_line import SHARED, call
from own_tables import COMPRESSIONS, PAIRS, arrow, nested, save_to_disk, write_splits

TINY = (
    "model=tiny subword.size=80 optimization.max_update=1 dataset.max_tokens=500 checkpoint_metric=loss ema=off "
    "metrics=[s2s_bleu] search=greedy generation.max_len_a=0 generation.max_len_b=10"
)

slow = pytest.mark.slow  # a run each


def own_pairs() -> list[tuple[str, str]]:
    """As many as can be split; real ones where they are."""
    files = [SHARED / "multi30k" / f"test_2016_flickr.{language}.gz" for language in ("en", "de")]
    if all(file.is_file() for file in files):
        sides = [gzip.decompress(file.read_bytes()).decode().splitlines() for file in files]
        return list(zip(*sides, strict=True))[:120]
    return [(f'The {i} dogs, and "{i * 7}" cats.', f"Die {i} Hunde und „{i * 7}“ Katzen.") for i in range(120)]


def write_own(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    rows = [{"id": number, "translation": {"en": en, "de": de}} for number, (en, de) in enumerate(pairs)]
    if name == "my.csv":
        with (folder / name).open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, delimiter=";").writerows([("nr", "English", "German"), *((0, *pair) for pair in pairs)])
    elif name == "tatoeba.txt":
        (folder / name).write_text("".join(f"{en}\t{de}\tCC-BY {number}\n" for number, (en, de) in enumerate(pairs)))
    elif name == "my.jsonl.gz":
        (folder / name).write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    elif name == "my.parquet":
        (folder / name).write_bytes(arrow("parquet", rows))
    else:
        save_to_disk(folder / name, rows, shards=2)


@pytest.mark.parametrize(
    ("name", "more", "languages"),
    [
        ("my.csv", "", "en-de"),
        pytest.param("tatoeba.txt", "data.source_column=1 data.target_column=2", "source-target", marks=slow),
        pytest.param("my.jsonl.gz", "", "en-de", marks=slow),
        pytest.param("my.parquet", "data.source_lang=de", "de-en", marks=slow),
        pytest.param("hub", "data.source_column=translation.de data.target_column=translation.en", "de-en", marks=slow),
    ],
)
def test_own_data_from_file_to_translation(tmp_path: Path, name: str, more: str, languages: str):
    pairs = own_pairs()
    write_own(tmp_path, name, pairs)
    command = f"s2s run app=nmt name=mine data.pairs={name} {more} {TINY}"
    done = call(command, cwd=tmp_path)
    (prepared,) = (tmp_path / "data-bin").glob(f"files.{languages}.????????")
    counts = json.loads((prepared / "prepared.json").read_text())["pairs"]
    assert sum(counts.values()) > 100
    source = (prepared / "text" / f"train.{languages.split('-')[0]}").read_text(encoding="utf-8").splitlines()
    assert set(source) <= {" ".join(pair[languages.startswith("de")].split()) for pair in pairs}
    assert "source is column" in done.stderr and (tmp_path / "runs/nmt/mine/report.html").is_file()
    assert call(["s2s", "translate", "app=nmt", "name=mine", "A sentence."], cwd=tmp_path).stdout.endswith("\n")


def test_the_prepared_folder_follows_the_content(tmp_path: Path):
    write_splits(tmp_path / "own", "parquet")
    (tmp_path / "my.csv").write_text("en,de\n" + "".join(f"word {i},wort {i}\n" for i in range(300)))
    command = f"s2s prepare app=nmt data.pairs=my.csv data.extra_pairs=own data.held_out=20 {TINY}"
    call(command, cwd=tmp_path)
    with (tmp_path / "my.csv").open("a") as file:
        file.write("one more,noch eins\n")
    call(command, cwd=tmp_path)
    assert len(list((tmp_path / "data-bin").glob("files.en-de.*"))) == 2
    write_own(tmp_path / "own", "my.jsonl.gz", PAIRS)
    (tmp_path / "own" / "train-00000-of-00001.parquet").write_bytes(arrow("parquet", nested()[:20]))
    assert "20 extra training pairs kept" in call(command, cwd=tmp_path).stderr
    assert len(list((tmp_path / "data-bin").glob("files.en-de.*"))) == 3


def test_held_out_tables_and_compressed_files(tmp_path: Path):
    pairs = own_pairs()
    for name, part in (("train", pairs[:80]), ("valid", pairs[80:90]), ("test", pairs[90:97])):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt") as file:
            csv.writer(file).writerows([("en", "de"), *part])
        for side, ending in enumerate(("en.xz", "de.bz2")):
            compress = COMPRESSIONS[f".{ending[3:]}"]
            (tmp_path / f"{name}.{ending}").write_bytes(compress("".join(f"{p[side]}\n" for p in part).encode()))
    tables = "data.pairs=train.csv.gz data.valid_pairs=valid.csv.gz data.test_pairs=test.csv.gz"
    files = " ".join(
        f"data.{prefix}{side}={split}.{ending}"
        for prefix, split in (("", "train"), ("valid_", "valid"), ("test_", "test"))
        for side, ending in (("source", "en.xz"), ("target", "de.bz2"))
    )
    texts = []
    for number, own in enumerate((tables, files)):
        call(f"s2s prepare app=nmt {own} prepared_dir={number} {TINY}", cwd=tmp_path)
        (prepared,) = (tmp_path / str(number)).glob("files.en-de.*")
        assert json.loads((prepared / "prepared.json").read_text())["pairs"] == {"train": 80, "valid": 10, "test": 7}
        texts.append({file.name: file.read_bytes() for file in sorted((prepared / "text").glob("*.??"))})
    assert texts[0] == texts[1] and len(texts[0]) == 6


def test_a_mistake_is_one_line(tmp_path: Path):
    (tmp_path / "my.csv").write_text("en,de,ko\na b,c d,e f\n")
    done = call("s2s run app=nmt name=mine data.pairs=my.csv", cwd=tmp_path, check=False)
    message = "my.csv: which columns are the source and the target? There are: 1 en, 2 de, 3 ko; set"
    remedy = "data.source_column=NAME data.target_column=NAME (or numbers)"
    assert (done.returncode, done.stderr) == (2, f"s2s: error: {message} {remedy}\n")


def test_several_languages_of_one_table(tmp_path: Path):
    rows = "".join(f"the word {i},das Wort {i},낱말 {i}\n" for i in range(300))
    (tmp_path / "my.csv").write_text(f"en,de,ko\n{rows}", encoding="utf-8")
    languages = "data.source_lang=en data.target_lang=[de,ko]"
    call(f"s2s prepare app=nmt data.pairs=my.csv {languages} {TINY}", cwd=tmp_path)
    (prepared,) = (tmp_path / "data-bin").glob("files.en-de+ko.*")
    sources = (prepared / "text" / "train.en").read_text().splitlines()
    assert {source.split()[0] for source in sources} == {"<2de>", "<2ko>"}
