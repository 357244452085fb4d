"""``data.pairs``: which columns of a table are the source and the target."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_tables import read, settings

from s2s_plugin.corpora import tables
from s2s_plugin.errors import UserError

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
    assert f"source is column {columns[0]}, target is column {columns[1]}" in " ".join(capsys.readouterr().err.split())
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
