"""The recipes on small excerpts in the format of their sources, and Multi30k on its real files."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from s2s_plugin.errors import UserError

ROOT = Path(__file__).parents[2]
MULTI30K = ROOT.parent / "shared/data/multi30k"


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", ROOT / "data" / name / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ding, libreoffice, multi30k = recipe("ding"), recipe("libreoffice_help"), recipe("multi30k")


def read(out: Path, name: str) -> list[str]:
    return (out / name).read_text(encoding="utf-8").split("\n")[:-1]


def assert_no_leak(out: Path, languages: tuple[str, str]) -> None:
    for lang in languages:
        lines = {split: {" ".join(line.casefold().split()) for line in read(out, f"{split}.{lang}")}
                 for split in ("train", "valid", "test")}  # fmt: skip
        assert all(lines.values())
        assert not lines["train"] & lines["valid"]
        assert not lines["train"] & lines["test"]
        assert not lines["valid"] & lines["test"]


def assert_manifest(out: Path, name: str) -> dict:
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["name"] == name
    assert manifest["source"].startswith("https://")
    assert manifest["licence"]
    assert manifest["version"]
    for file, entry in manifest["files"].items():
        assert entry["lines"] == len(read(out, file))
    return manifest["files"]


# --- ding -------------------------------------------------------------------------------------------------

ENTRIES = {
    # what the dictionary has -> the pairs that it gives (german, english)
    "je {conj} … desto; je … umso | Je mehr sie nachdachte, desto besser gefiel ihr die Idee. :: "
    "the … the | The more she thought, the more she liked the idea.": [
        (
            "Je mehr sie nachdachte, desto besser gefiel ihr die Idee.",
            "The more she thought, the more she liked the idea.",
        )
    ],
    "Sonnenbrand {m} [med.] | einen Sonnenbrand bekommen | Haben Sie etwas gegen Sonnenbrand? :: "
    "sunburn; solar dermatitis | to get a sunburn {got; gotten} | Have you anything for sunburn?": [
        ("einen Sonnenbrand bekommen", "to get a sunburn"),
        ("Haben Sie etwas gegen Sonnenbrand?", "Have you anything for sunburn?"),
    ],
    "Der Club ist (wirklich) für jedermann zugänglich. [ugs.] :: The club is open to all. (prov)": [
        ("Der Club ist für jedermann zugänglich.", "The club is open to all.")
    ],
    "in der Tasche haben; im Sack haben [veraltet]; ganz sicher haben :: to have for sure; to have got it": [
        ("in der Tasche haben", "to have for sure"),
        ("ganz sicher haben", "to have got it"),
    ],
    "die Noten aushängen :: to post the marks/grades; to put up the marks": [
        ("die Noten aushängen", "to post the marks"),
        ("die Noten aushängen", "to put up the marks"),
    ],
    "ins Blickfeld/in den Blickpunkt rücken :: to come to the fore": [],
    "auf etw. drücken und warten :: to push sth. and wait": [],
    "er/sie hat gut gebeten :: he/she has asked well": [],
    "Akademie der Literatur(wissenschaft) :: academy of literary studies": [],
    "großer roter Vogel {m} [ornith.] :: big red bird": [],
    "Don’t sagt man nicht. :: You don’t say “don’t”.": [
        ("Don't sagt man nicht.", "You don't say \"don't\".")
    ],
    "Hilfe bei Infarkt des Herzens /HI/ :: help with infarction of the heart /CI/": [
        ("Hilfe bei Infarkt des Herzens", "help with infarction of the heart")
    ],
    "# Version :: devel 2023 und so weiter": [],
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_ding_entry(entry):
    assert [pair for _, pair in ding.read_pairs([entry], "clean", 3, 12)] == ENTRIES[entry]


def test_ding_sentences_are_sentences():
    pairs = [pair for _, pair in ding.read_pairs(ENTRIES, "sentences", 2, 20)]
    assert ("einen Sonnenbrand bekommen", "to get a sunburn") not in pairs
    assert len(pairs) == 4


@pytest.fixture
def dictionary(tmp_path) -> Path:
    """Entries with the same sentence in several of them, so that a split by entry alone would leak."""
    folder = tmp_path / "source"
    folder.mkdir()
    lines = ["# License :: GPL Version 2 or later"]
    for i in range(400):
        lines.append(
            f"Wort {i} {{n}} | Das ist Satz Nummer {i}. | Wir sehen {i % 60} Häuser. :: "
            f"word {i} | This is sentence number {i}. | We see {i % 60} houses."
        )
    (folder / "de-en").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_ding_corpus_does_not_leak_and_is_stable(dictionary, tmp_path):
    options = {"cache": tmp_path / "cache", "from_dir": dictionary, "valid": 0.1, "test": 0.1}
    first = ding.prepare(tmp_path / "a", "en", "de", **options)
    assert_no_leak(first, ("en", "de"))
    files = assert_manifest(first, "ding")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "de-en.txt.gz").write_bytes(gzip.compress((dictionary / "de-en").read_bytes()))
    second = ding.prepare(tmp_path / "b", "en", "de", **{**options, "from_dir": packed})
    assert assert_manifest(second, "ding") == files
    turned = ding.prepare(tmp_path / "c", "de", "en", **options)
    assert read(turned, "train.de") == read(first, "train.de")


def test_ding_options_are_checked(dictionary, tmp_path):
    for bad in ({"src": "fr"}, {"kind": "verbs"}, {"from_dir": tmp_path}, {"valid": 1.5}):
        options = {"src": "en", "tgt": "de", "cache": tmp_path, "from_dir": dictionary, **bad}
        with pytest.raises(UserError, match=str(next(iter(bad.values())))):
            ding.prepare(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# --- LibreOffice help -------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html><head><title>{0}</title>
<script>var p = "<p id='par_id0'>x</p>";</script></head><body>
<p dir="auto">LibreOffice 7.4 Help</p><div id="DisplayArea">
<h1 id="hd_id1" dir="auto"><a name="x"></a>{0}</h1>
<p id="par_id2" class="paragraph" dir="auto"><span class="avis">{1}</span></p>
<p id="par_id3" class="paragraph">{2} <span id="swlnsys1" class="switchinline"><span hidden="true"
 id="MACtext1" class="MAC"><span class="keycode">Command</span></span><span hidden="true"
 id="defaulttext1"><span class="keycode">{3}</span></span></span>.</p>
<p id="par_id4" class="code">SUM(Number1; Number2)</p>
<p id="par_id5" class="paragraph">{4}<span id="sw2" class="switchinline"><span hidden="true"
 id="CALCtext2" class="CALC">Calc</span></span></p>
<p id="par_id6" class="paragraph"><span class="emph">{5}</span> &ndash; <img src="x.png" alt="icon"> {6}</p>
</div></body></html>"""
ENGLISH = (
    "Saving a file",
    "Saves the current file. Opens it &amp; closes it again.",
    "To save it, press",
    "Ctrl",
    "This text needs the application",
    "Tools",
    "Options and more",
)
GERMAN = (
    "Eine Datei speichern",
    "Speichert die aktuelle Datei. Öffnet sie &amp; schließt sie wieder.",
    "Zum Speichern drücken Sie",
    "Strg",
    "Dieser Text braucht das Programm",
    "Extras",
    "Optionen und mehr",
)
KOREAN = (
    "파일을 저장하는 방법",
    "현재 파일을 저장합니다. 파일을 열고 &amp; 다시 닫습니다.",
    "파일을 저장하려면 누르십시오",
    "Ctrl",
    "이 텍스트는 응용 프로그램이 필요",
    "도구",
    "옵션 및 기타",
)


def write_pages(root: Path, texts: dict[str, tuple[str, ...]], count: int = 1) -> Path:
    for folder, text in texts.items():
        for i in range(count):
            path = root / folder / "text" / "shared" / f"{i}.html"
            path.parent.mkdir(parents=True, exist_ok=True)
            words = PAGE.format(*text)
            if count > 1:  # most lines are the page's own; what does not name the file is on every page
                words = words.replace("file", f"file {chr(97 + i)}").replace("Datei", f"Datei {chr(97 + i)}")
            path.write_text(words, encoding="utf-8")
    return root


def test_help_page_texts(tmp_path):
    write_pages(tmp_path, {"en-US": ENGLISH})
    assert libreoffice.page_texts(tmp_path / "en-US/text/shared/0.html") == {
        "hd_id1": "Saving a file",
        "par_id2": "Saves the current file. Opens it & closes it again.",
        "par_id3": "To save it, press Ctrl.",
        "par_id6": "Tools – Options and more",
    }


@pytest.mark.parametrize(("lang", "texts"), [("de", GERMAN), ("ko", KOREAN)])
def test_help_pairs_are_sentences(tmp_path, lang, texts):
    write_pages(tmp_path, {"en-US": ENGLISH, lang: texts})
    found = list(libreoffice.read_pairs(tmp_path / "en-US/text", tmp_path / lang / "text", lang))
    second, third = texts[1].replace("&amp;", "&").split(". ")
    assert found == [
        ("shared/0.html", ("Saving a file", texts[0])),
        ("shared/0.html", ("Saves the current file.", second + ".")),
        ("shared/0.html", ("Opens it & closes it again.", third)),
        ("shared/0.html", ("To save it, press Ctrl.", f"{texts[2]} {texts[3]}.")),
    ]


@pytest.mark.parametrize(
    ("english", "other", "lang", "good"),
    [
        ("Opens the dialog.", "Öffnet den Dialog.", "de", True),
        ("Opens the dialog.", "Opens the dialog.", "de", False),
        ("Opens the new dialog now.", "Opens the new Dialog jetzt.", "de", False),
        ("=SUM(A1:A5) returns the sum.", "=SUMME(A1:A5) ergibt die Summe.", "de", False),
        ("Tools - Options - View", "Extras – Optionen – Ansicht", "de", False),
        ("There are 3 ways.", "Es gibt 2 Wege.", "de", False),
        ("Opens the dialog.", "대화 상자를 엽니다.", "ko", True),
        ("Opens the dialog.", "Opens the dialog.", "ko", False),
        ("Opens the Writer dialog.", "Writer 대화 상자를 엽니다.", "ko", True),
        ("Opens the dialog.", "Writer 대화 상자를 엽니다.", "ko", False),
        ("The number (an angle) is returned.", "숫자(각도)를 반환합니다.", "ko", True),
        ("Opens the dialog.", "", "ko", False),
    ],
)
def test_help_filters(english, other, lang, good):
    assert libreoffice.is_good(english, other, lang) is good


def test_help_sentences_are_cut_only_where_both_sides_agree():
    cut = libreoffice.sentence_pairs
    assert cut("One here. Two there.", "Eins hier. Zwei dort.") == [
        ("One here.", "Eins hier."),
        ("Two there.", "Zwei dort."),
    ]
    assert cut("One here. Two there.", "Eins hier, zwei dort.") == [("One here. Two there.", "Eins hier, zwei dort.")]
    assert cut("Files, etc. Writer", "Dateien usw. Writer") == [("Files, etc. Writer", "Dateien usw. Writer")]
    assert cut("58 File exists", "58 파일이 있습니다") == [("File exists", "파일이 있습니다")]


def test_help_drops_copies_that_differ_in_numbers_only():
    items = [("a", ("Step 1 of it", "Schritt 1 davon")), ("b", ("Step 2 of it", "Schritt 2 davon"))]
    assert libreoffice.drop_numbered_copies(items) == items[:1]


def test_help_corpus_does_not_leak_and_is_stable(tmp_path):
    pages = write_pages(tmp_path / "pages", {"en-US": ENGLISH, "de": GERMAN}, count=26)
    options = {"cache": tmp_path / "cache", "from_dir": pages, "valid": 0.2, "test": 0.2}
    first = libreoffice.prepare(tmp_path / "a", "en", "de", **options)
    assert_no_leak(first, ("en", "de"))
    files = assert_manifest(first, "libreoffice_help")
    package = tmp_path / "package" / libreoffice.PAGES
    package.parent.mkdir(parents=True)
    shutil.copytree(pages, package)
    second = libreoffice.prepare(tmp_path / "b", "en", "de", **{**options, "from_dir": tmp_path / "package"})
    assert assert_manifest(second, "libreoffice_help") == files


def test_help_options_are_checked(tmp_path):
    with pytest.raises(UserError, match="--tgt fr"):
        libreoffice.prepare(tmp_path / "out", "en", "fr", tmp_path)
    with pytest.raises(UserError, match=r"no help pages for en: expected .*en-US"):
        libreoffice.prepare(tmp_path / "out", "en", "de", tmp_path, from_dir=tmp_path)


# --- Multi30k ---------------------------------------------------------------------------------------------


@pytest.fixture
def multi30k_files() -> Path:
    if not (MULTI30K / "train.en.gz").is_file():
        pytest.skip(f"the data set is not at {MULTI30K}")
    return MULTI30K


def test_multi30k_is_the_official_split(multi30k_files, tmp_path):
    out = multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=multi30k_files)
    files = assert_manifest(out, "multi30k")
    assert [files[f"{name}.de"]["lines"] for name in ("train", "valid", "test")] == [29_000, 1_014, 1_000]
    for split, (stem, _) in multi30k.SPLITS.items():
        for lang in ("de", "en"):
            packed = (multi30k_files / f"{stem}.{lang}.gz").read_bytes()
            official = gzip.decompress(packed).decode("utf-8").split("\n")[:-1]
            written = read(out, f"{split}.{lang}")
            assert [line.split() for line in official] == [line.split() for line in written]


def test_multi30k_refuses_other_files(multi30k_files, tmp_path):
    folder = tmp_path / "source"
    shutil.copytree(multi30k_files, folder)
    (folder / "val.en.gz").chmod(0o644)
    (folder / "val.en.gz").write_bytes(gzip.compress(b"only one line\n"))
    with pytest.raises(UserError, match=r"val\.en\.gz has 1 lines, the official file has 1,014"):
        multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=folder)
    (folder / "val.en.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"cannot read .*val\.en\.gz"):
        multi30k.prepare(tmp_path / "out", "de", "en", tmp_path / "cache", from_dir=folder)


# --- the command line -------------------------------------------------------------------------------------


def test_command_line(dictionary, tmp_path):
    script = ROOT / "data/ding/prepare.py"
    command = [sys.executable, str(script), "--out", str(tmp_path / "out"), "--from", str(dictionary)]
    done = subprocess.run([*command, "--valid", "0.1", "--test", "0.1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out' / 'train.en'}: " in done.stdout
    done = subprocess.run([*command, "--tgt", "fr"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the dictionary is for de and en")
    assert "Traceback" not in done.stderr
