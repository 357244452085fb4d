"""The help of LibreOffice, on small pages in its format."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recipes import assert_languages_do_not_leak, assert_manifest

from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.errors import UserError

libreoffice = load_recipe("libreoffice_help")


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
    assert_languages_do_not_leak(first, ("en", "de"))
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
