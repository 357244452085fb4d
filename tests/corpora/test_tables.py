"""``data.pairs``: tables in every format and compression, their columns, and their mistakes."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import tracemalloc
from pathlib import Path

import pytest
from command_line import SHARED, call
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora import tables
from s2s_plugin.corpora.parallel import MAX_LINE, _read_pairs, read_lines
from s2s_plugin.corpora.tables import json_rows
from s2s_plugin.corpora.tally import Tally
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary, plain_path

# Each side with what some format or other treats specially.
PAIRS = [
    ("A dog, a cat; and \"more\".", "Ein Hund, eine Katze; und „mehr“."),
    ("First line\nsecond line", "Erste Zeile\r\nzweite Zeile"),
    ("\"Quoted\" at the start", "it's | piped"),
    ("#1 = 50 % of 2.5", "Nr. 1"),
    ("한국어 문장 👩‍👩‍👧", "עברית 𝒳"),
    ("{\"json\": [1]}", "<2de> \\t \\n"),
] + [(f"Sentence number {i}.", f"Satz Nummer {i}.") for i in range(30)]  # fmt: skip
EXPECTED = [tuple(" ".join(text.split()) for text in pair) for pair in PAIRS]


def delimited(delimiter: str, quoting: int = csv.QUOTE_MINIMAL, header: bool = True, end: str = "\n") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("id", "en", "de")] * header)
    writer.writerows((number, *pair) for number, pair in enumerate(PAIRS))
    return file.getvalue().encode()


def raw_tsv() -> bytes:
    """Quotation marks are text, as in Tatoeba's and OPUS's files."""
    return ("en\tde\n" + "".join(f"{source}\t{target}\n" for source, target in EXPECTED)).encode()


def objects() -> list[dict]:
    return [{"id": str(number), "en": source, "de": target} for number, (source, target) in enumerate(PAIRS)]


def nested() -> list[dict]:
    return [
        {"id": number, "translation": {"en": source, "de": target}} for number, (source, target) in enumerate(PAIRS)
    ]


def arrow(kind: str, rows: list[dict]) -> bytes:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table, file = pyarrow.Table.from_pylist(rows), io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, file, row_group_size=7)
    else:
        new = pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file
        with new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return file.getvalue()


FORMATS = {
    "my.csv": lambda: delimited(","),
    "excel.csv": lambda: b"\xef\xbb\xbfsep=;\r\n" + delimited(";", end="\r\n"),
    "semicolons.csv": lambda: delimited(";"),
    "all quoted.csv": lambda: delimited(",", csv.QUOTE_ALL),
    "my.psv": lambda: delimited("|"),
    "my.tsv": raw_tsv,
    "quoted.tsv": lambda: delimited("\t"),
    "no ending": lambda: delimited("\t"),
    "my.json": lambda: json.dumps(objects()).encode(),
    "indented.json": lambda: json.dumps(objects(), indent=2, ensure_ascii=False).encode(),
    "inside.json": lambda: json.dumps({"version": 1, "data": nested()}).encode(),
    "lines.json": lambda: "\n".join(map(json.dumps, nested())).encode(),
    "my.jsonl": lambda: "\r\n".join(json.dumps(row, ensure_ascii=False) for row in objects()).encode(),
    "nested.jsonl": lambda: "\n".join(map(json.dumps, nested())).encode(),
    "my.parquet": lambda: arrow("parquet", objects()),
    "nested.parquet": lambda: arrow("parquet", nested()),
    "stream.arrow": lambda: arrow("stream", nested()),
    "my.feather": lambda: arrow("file", objects()),
}


def zstd(content: bytes) -> bytes:
    """Two frames, as pzstd and concatenated files have them."""
    compress = pytest.importorskip("zstandard").ZstdCompressor().compress
    return compress(content[:100]) + compress(content[100:])


COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


def settings(pairs: Path, **options: object) -> DictConfig:
    """The options of ``data``, with languages that are not set."""
    names = [f"{prefix}pairs" for prefix in ("", "valid_", "test_", "extra_")] + ["source_column", "target_column"]
    data = dict.fromkeys(names) | {"source_lang": "${own_language:source}", "target_lang": "${own_language:target}"}
    return OmegaConf.create(data | {"pairs": str(pairs)} | options)


def read(pairs: Path, prefix: str = "", lossless: bool = False, **options: object) -> list:
    data = settings(pairs, **options)
    table = tables.find(data, prefix)
    assert table is not None
    rows = [(where, *map(str, cells)) for where, cells in tables.read_pairs(data, table, lossless)]
    return [(source, target) for _, source, target in rows]


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_compression(tmp_path: Path, name: str, ending: str, capsys: pytest.CaptureFixture):
    file = tmp_path / f"{name}{ending}"
    file.write_bytes(COMPRESSIONS[ending](FORMATS[name]()))
    assert read(file) == EXPECTED
    assert tables.languages(settings(file)) == ("en", "de")
    column = "translation.{}" if "nested" in name or name in ("inside.json", "lines.json", "stream.arrow") else "{}"
    taken = f"source is column {column.format('en')}, target is column {column.format('de')}"
    assert capsys.readouterr().err == f"      {file}: {taken}\n"


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_plain_text_may_be_compressed(tmp_path: Path, ending: str):
    file = tmp_path / f"my.en{ending}"
    file.write_bytes(COMPRESSIONS[ending](b"a b\nc d\n" * 50_000))
    assert read_lines(file) == ["a b", "c d"] * 50_000
    assert plain_path(file) == tmp_path / "my.en"


@pytest.mark.parametrize("ending", [ending for ending in COMPRESSIONS if ending])
def test_a_compressed_file_that_is_cut_short(tmp_path: Path, ending: str):
    file = tmp_path / f"my.csv{ending}"
    file.write_bytes(COMPRESSIONS[ending](delimited(","))[:-9])
    with pytest.raises(UserError, match=r"my\.csv\.\w+: the compressed file is cut short or damaged"):
        read(file)


A = "A first sentence.,Ein erster Satz."
CHOICES = {
    "codes": ("id,de,en\n1,b c,d e", {}, ("de", "en"), ("de", "en")),
    "codes and regions": ("pt-BR,zh_Hant\nb c,d e", {}, ("pt-BR", "zh_Hant"), ("pt-BR", "zh_Hant")),
    "FLORES": ("eng_Latn,deu_Latn\nb c,d e", {}, ("eng_Latn", "deu_Latn"), ("eng_Latn", "deu_Latn")),
    "upper case": ("EN,DE\nb c,d e", {}, ("EN", "DE"), ("en", "de")),
    "roles": ("tgt,src,note\nb c,d e,f g", {}, ("src", "tgt"), ("source", "target")),
    "questions": ("id,question,context,answer\n1,b c,d e,f g", {}, ("question", "answer"), ("source", "target")),
    "summaries": ("url,article,highlights\nhttp://x,b c,d e", {}, ("article", "highlights"), ("source", "target")),
    "two columns": (f"One,Another\n{A}", {}, ("One", "Another"), ("source", "target")),
    "names of languages": ("id,german,english,note\n1,b c,d e,f", {}, ("german", "english"), ("de", "en")),
    "two with text": (f"nr,score,x,y\n1,0.5,{A}", {}, ("x", "y"), ("source", "target")),
    "an unnamed index": (",en,de\n0,b c,d e", {}, ("en", "de"), ("en", "de")),
    "sums": ("question,answer\n12+3,15", {}, ("question", "answer"), ("source", "target")),
    "no header": (f"{A}\nb c,d e", {}, ("1", "2"), ("source", "target")),
    "words": ("house,Haus\nno,nein\nanswer,Antwort", {}, ("1", "2"), ("source", "target")),
    "names": ("a,b,c\nd e,f g,h i", {"source_column": "c", "target_column": "a"}, ("c", "a"), ("source", "target")),
    "numbers": ("a,b,c\nd e,f g,h i", {"source_column": 3, "target_column": "1"}, ("c", "a"), ("source", "target")),
    "one name": ("a,b\nd e,f g", {"source_column": "b"}, ("b", "a"), ("source", "target")),
    "a name with a space": (f"One,The other\n{A}", {"source_column": "The other"}, ("The other", "One"), None),
    "one language of three": ("en,de,ko\nd e,f g,h i", {"source_lang": "ko", "target_lang": "en"}, ("ko", "en"), None),
    "one language of two": ("en,de\nd e,f g", {"source_lang": "de"}, ("de", "en"), None),
    "languages without columns": (f"src,tgt\n{A}", {"source_lang": "en", "target_lang": "de"}, ("src", "tgt"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOICES)
def test_columns_are_recognized(tmp_path: Path, case: str, capsys: pytest.CaptureFixture):
    text, options, columns, languages = CHOICES[case]
    (tmp_path / "my.csv").write_text(text + "\n")
    pairs = read(tmp_path / "my.csv", **options)
    assert f"source is column {columns[0]}, target is column {columns[1]}" in capsys.readouterr().err
    assert len(pairs) == text.count("\n") + (columns[0] == "1")
    if languages is not None:
        assert tables.languages(settings(tmp_path / "my.csv", **options)) == languages


AMBIGUOUS = {
    "three languages": ("en,de,ko\nb c,d e,f g", {}, "There are: 1 en, 2 de, 3 ko; set data.source_column=NAME"),
    "three texts": ("x,y,z\nb c,d e,f g", {}, "which columns are the source and the target"),
    "no header": ("Go on.,Weiter so.,CC BY\nb c,d e,f g", {}, r"There are: 1 \('Go on.'\), 2 \('Weiter so.'\), 3"),
    "one text": ("text,label\nb c,1", {}, "There are: 1 text, 2 label"),
    "unknown name": ("en,de\nb c,d e", {"source_column": "fr"}, "source_column=fr: there is no such column; .* en, de"),
    "unknown number": ("en,de\nb c,d e", {"target_column": 3}, "target_column=3: there is no such column"),
    "one column twice": ("en,de\nb c,d e", {"source_column": 1, "target_column": "en"}, "different columns, got 'en'"),
    "one column": ("text\nb c\nd e", {}, "columns separated by comma, semicolon, tab"),
}  # fmt: skip


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_columns_that_cannot_be_known(tmp_path: Path, case: str):
    text, options, message = AMBIGUOUS[case]
    (tmp_path / "my.csv").write_text(text + "\n")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "my.csv", **options)


GOOD = b"en,de\nb c,d e\n"
BAD = {
    "ragged": ("my.csv", GOOD + b"f g\nh i,j k\n", "my.csv:3: expected 2 cells, got 1"),
    "too many cells": ("my.csv", GOOD + b"f, g,h\n", "my.csv:3: expected 2 cells, got 3"),
    "after a line break": ("my.csv", GOOD + b'"f\ng",h\ni\n', "my.csv:5: expected 2 cells, got 1"),
    "not UTF-8": ("my.csv", GOOD + b"caf\xe9,x\n", "my.csv:3: byte 4 is not UTF-8"),
    "quotation marks": ("my.csv", b'en,de\n"b ""c""","d"\n' * 9 + b'"f" g,h\n', "my.csv:19: .*quotation mark"),
    "not closed": ("my.csv", b'en,de\n"b, c","d"\n' * 9 + b'"f g,h\n', "my.csv:19: .*is a quotation mark not closed"),
    "NUL": ("my.csv", GOOD + b"f\0,g\n", "my.csv:3: contains NUL"),
    "too long": ("my.csv", GOOD + b"f" * (MAX_LINE + 1) + b",g\n", "my.csv:3: a line must have at most 20,000"),
    "broken line": ("my.jsonl", b'{"en": "b", "de": "c"}\n{"en": \n', r"my.jsonl:2: .*JSON object \(Expecting value"),
    "not an object": ("my.jsonl", b'{"en": "b", "de": "c"}\n3\n', "my.jsonl:2: expected a JSON object .got int"),
    "half a character": ("my.jsonl", b'{"en": "b \\ud83d", "de": "c"}\n', "my.jsonl:1: byte 3 is not UTF-8"),
    "a list": ("my.jsonl", b'{"en": "b", "de": ["c"]}\n', "my.jsonl:1: the cell of de must be text, got list"),
    "deep": ("my.jsonl", b'{"en":' * 100_000, "my.jsonl:1: .*nested too deeply"),
    "deep list": ("my.json", b'[{"en":' * 100_000, "my.json:1: .*nested too deeply"),
    "broken list": ("my.json", b'[{"en": "b", "de": "c"}, {"en" "b"}]', "my.json:2: broken JSON"),
    "cut list": ("my.json", b'[{"en": "b", "de": "c"}, {"en": "b"', "my.json:2: broken JSON"),
    "no list": ("my.json", b"12", "my.json: expected a JSON list of objects"),
    "empty list": ("my.json", b"[]", "my.json: the table is empty"),
    "UTF-16": ("my.csv", "en,de\nb,c\n".encode("utf-16"), "my.csv: the encoding is UTF-16, expected UTF-8"),
    "spreadsheet": ("my.xlsx", b"PK", "my.xlsx: a spreadsheet cannot be read; save it as CSV"),
    "no Parquet": ("my.parquet", GOOD, "my.parquet:1: cannot be read as Parquet"),
    "no Arrow": ("my.arrow", GOOD, "my.arrow:1: cannot be read as Arrow"),
    "the same sides": ("my.csv", b"en,de\nb c,b c\nd,d\n", "the source and the target must differ, got the same 2"),
    "empty": ("my.csv", b"", "my.csv: expected a table"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named_by_row(tmp_path: Path, case: str):
    name, content, message = BAD[case]
    if "Parquet" in case or "Arrow" in case:
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    data = settings(tmp_path / name, source_column="en", target_column="de", on_bad_item="error")
    with pytest.raises(UserError, match=message):
        _read_pairs(OmegaConf.create({"data": data, "subword": {"lossless": False}}), "", Tally())


def test_line_breaks_that_cannot_be_kept(tmp_path: Path):
    (tmp_path / "my.csv").write_text('en,de\n  b c,d\n"e\nf",g\n')
    kept, refused = read(tmp_path / "my.csv", lossless=True)
    assert kept == ("  b c", "d")
    assert refused[0].endswith("my.csv:3: the cell of en has a line break, which subword.lossless=true cannot keep")


def test_empty_cells_are_counted(tmp_path: Path):
    (tmp_path / "my.csv").write_text("en,de,x\nb,c,1\n,d,2\ne, ,3\n\nf,g,\n")
    data, tally = settings(tmp_path / "my.csv", source_column="en", target_column="de", on_bad_item="error"), Tally()
    cfg = OmegaConf.create({"data": data, "subword": {"lossless": False}})
    assert _read_pairs(cfg, "", tally) == [("b", "c"), ("f", "g")]
    assert list(tally.lines(2)) == [
        "4 pairs read, 2 kept, 2 left out",
        f"  2 with an empty side: {tmp_path}/my.csv:3, {tmp_path}/my.csv:4",
    ]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, kind: str):
    rows = [{"en": f"{i} " * 50, "de": f"x {i}" * 50} for i in range(20_000)]
    file = tmp_path / f"my.{kind}.gz"
    with gzip.open(file, "wt", 1, newline="") as text:
        if kind == "json":
            json.dump(rows, text)
        elif kind == "jsonl":
            text.writelines(f"{json.dumps(row)}\n" for row in rows)
        else:
            csv.writer(text).writerows([("en", "de"), *(row.values() for row in rows)])
    del rows
    tracemalloc.start()
    assert sum(1 for _ in tables.read_rows(file)) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_list_read_in_parts(size: int):
    items = [{"a": "x" * length, "b": ["]", "[", '"', {}]} for length in range(0, 300, 7)]

    class Parts(io.StringIO):
        def read(self, _: int | None = -1) -> str:
            return super().read(size)

    for text in (json.dumps(items), json.dumps(items, indent=1)):
        assert list(json_rows._elements(Path("x"), Parts(text))) == items


# ------------------------------------------------------------------ folders


def save_to_disk(folder: Path, rows: list[dict], shards: int = 1) -> None:
    """Write a dataset as version 4 of ``datasets`` does."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    size = -(-len(rows) // shards)
    for number, name in enumerate(names):
        (folder / name).write_bytes(arrow("stream", rows[number * size : (number + 1) * size]))
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def test_a_saved_dataset(tmp_path: Path):
    save_to_disk(tmp_path / "one", nested(), shards=3)
    assert read(tmp_path / "one") == EXPECTED
    assert tables.find(settings(tmp_path / "one"), "valid_") is None
    assert len(tables.table_files(tmp_path / "one")) == 3


def write_splits(folder: Path, kind: str) -> None:
    """30, 4 and 2 pairs for training, validation and test."""
    rows = nested()
    for name, part in (("train", rows[:30]), ("validation", rows[30:34]), ("test", rows[34:])):
        if kind == "saved":
            save_to_disk(folder / name, part)
            (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
        else:
            place = folder / "data" if kind == "data" else folder
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}-00000-of-00001.parquet").write_bytes(arrow("parquet", part))


@pytest.mark.parametrize("kind", ["saved", "parquet", "data"])
def test_a_folder_of_splits(tmp_path: Path, kind: str):
    write_splits(tmp_path, kind)
    assert read(tmp_path) == EXPECTED[:30]
    assert read(tmp_path, "valid_") == EXPECTED[30:34]
    assert read(tmp_path, "test_") == EXPECTED[34:]
    (tmp_path / "my.jsonl").write_text(json.dumps(objects()[0]))
    assert read(tmp_path, "test_", test_pairs=str(tmp_path / "my.jsonl")) == EXPECTED[:1]
    assert read(tmp_path / "my.jsonl", "valid_", valid_pairs=str(tmp_path)) == EXPECTED[30:34]


def test_folders_that_are_no_dataset(tmp_path: Path):
    with pytest.raises(UserError, match="expected a folder that datasets has saved, or files named by their split"):
        read(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["validation", "test"]}')
    for name in ("validation", "test"):
        save_to_disk(tmp_path / name, nested())
    with pytest.raises(UserError, match="the folder has no split train, only valid, test"):
        read(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["../elsewhere"]}')
    with pytest.raises(UserError, match=r"dataset_dict\.json: expected the names of splits"):
        read(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["validation", "test"]}')
    (tmp_path / "test" / "state.json").write_text('{"_data_files": [{"filename": "../../x"}]}')
    with pytest.raises(UserError, match=r"test/state\.json: expected the names of data files"):
        read(tmp_path, "test_")
    with pytest.raises(UserError, match="nothing: cannot be read"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize("library", ["pyarrow", "zstandard"])
def test_libraries_that_are_missing(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / {"pyarrow": "my.parquet", "zstandard": "my.csv.zst"}[library]
    file.write_bytes({"pyarrow": b"PAR1", "zstandard": b"\x28\xb5\x2f\xfd"}[library])
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"{file}: requires {library}: pip install {library}"):
        read(file)


# ------------------------------------------------------------------ the command

TINY = (
    "model=tiny subword.size=80 optimization.max_update=1 dataset.max_tokens=500 checkpoint_metric=loss ema=off "
    "metrics=[s2s_bleu] search=greedy"
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
        ("my.parquet", "data.source_lang=de", "de-en"),
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


def test_open_binary_names_what_is_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"x: cannot be read .No such file"), open_binary(tmp_path / "x"):
        pass
