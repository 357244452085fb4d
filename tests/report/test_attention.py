"""Attention to text as tables and pictures, and fonts for their labels."""

from __future__ import annotations

import io
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_run import ATTENTION, read, write_run

from s2s_plugin.report.drawing.attention import draw
from s2s_plugin.report.drawing.style import fonts_for, to_png
from s2s_plugin.report.page import write_report
from s2s_plugin.report.run import Attention

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_heatmap_cells_are_the_attention(run_dir: Path) -> None:
    page = read(write_report(run_dir))
    cells = [float(style.split(":")[1]) for style in page.attributes("td", "style")]
    weights = np.array(cells).reshape(len(ATTENTION["target_tokens"]), len(ATTENTION["source_tokens"]))
    np.testing.assert_allclose(weights, ATTENTION["attention"], atol=5.1e-4)
    for token in ATTENTION["source_tokens"] + ATTENTION["target_tokens"]:
        assert token in page.text
    assert "▁달린다 ← ▁dog: 1.000" in page.attributes("td", "title")


def test_pictures_decode_and_are_not_blank(run_dir: Path) -> None:
    stale = run_dir / "report" / "attention-9.png"
    stale.parent.mkdir()
    stale.write_bytes(b"from an earlier report")
    saved = read(write_report(run_dir)).saved()
    files = {path.name: path.read_bytes() for path in (run_dir / "report").iterdir()}
    assert set(files) == {"curves.png", "attention-0.png"}
    assert files == saved
    for name, content in files.items():
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert min(pixels.shape[:2]) > 150, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name
    assert not list(run_dir.glob(".*"))


def test_examples_without_attention_have_no_figure(run_dir: Path) -> None:
    """It was not computed, or the model has none."""
    for content in ("", json.dumps(ATTENTION | {"attention": []}) + "\n"):
        (run_dir / "attention.jsonl").write_text(content)
        page = write_report(run_dir)
        assert 'class="attention"' not in page.read_text()
        assert not list((run_dir / "report").glob("attention-*"))


def test_a_model_without_attention_draws_no_empty_grid(run_dir: Path) -> None:
    """Runs of earlier versions have weights that are all 0."""
    zeros = [[0.0] * 5 for _ in ATTENTION["attention"]]
    (run_dir / "attention.jsonl").write_text(json.dumps(ATTENTION | {"attention": zeros}) + "\n")
    config = run_dir / "config.yaml"
    config.write_text(config.read_text().replace("attention: dot", "attention: none"))
    page = write_report(run_dir).read_text()
    assert 'class="attention"' not in page and not list((run_dir / "report").glob("attention-*"))
    assert "<code>model.attention=none</code>: there are no attention weights to draw" in page


def test_what_is_drawn_is_named(run_dir: Path) -> None:
    """In the page, and below the picture, which is taller by its lines."""
    page = read(write_report(run_dir))
    assert "Attention of No. 0" in page.text
    assert "line 1 of outputs.jsonl" in " ".join(page.examples["example-0"].split())
    item = Attention(0, "vwxy", np.array(ATTENTION["attention"]), "abcde")
    captions = ["", "No. 0 of the test set: A dog.", "No. 0 of the test set: " + "개 한 마리가 잔디밭을 달린다. " * 9]
    heights = [Image.open(io.BytesIO(to_png(draw(replace(item, caption=text))))).height for text in captions]
    assert heights[0] < heights[1] < heights[2]


def test_attention_picture_has_the_weights() -> None:
    figure = draw(Attention(0, "vwxy", np.array(ATTENTION["attention"]), "abcde"))
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), ATTENTION["attention"])
    assert image.get_clim() == (0, 1)


def test_fonts_cover_latin_and_report_what_lacks() -> None:
    assert fonts_for("▁straße") == (["DejaVu Sans"], set())
    _, missing_glyphs = fonts_for("a\U000f0000")  # a private character
    assert missing_glyphs == {"\U000f0000"}


def test_fonts_cover_hangul_and_han_with_the_font_package() -> None:
    pytest.importorskip("noto_cjk_sans_jp_regular")
    assert fonts_for("▁한국어漢字かな")[1] == set()


def test_every_label_of_a_picture_has_fonts_that_have_its_characters() -> None:
    source, target = ("▁한국어", "$x$", "漢字", "</s>"), ("▁A", "▁조사", "مرحبا")
    figure = draw(Attention(1, target, np.full((3, 4), 0.25), source))
    labels = figure.axes[0].texts
    assert [label.get_text() for label in labels] == [*target, *source]
    assert all(label.get_visible() and not label.get_parse_math() for label in labels)
    assert warned_glyphs(figure) == fonts_for("".join((*source, *target)))[1]
    unknown = draw(Attention(1, ("a\U000f0000",), np.ones((1, 1)), ("b",)))
    assert warned_glyphs(unknown) == {"\U000f0000"}


def warned_glyphs(figure: Figure) -> set[str]:
    """The characters that matplotlib draws as boxes, by its own account."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(io.BytesIO(), format="png")
    return {chr(int(number)) for each in caught for number in re.findall(r"Glyph (\d+) .* missing", str(each.message))}
