"""Attention drawn on recordings, films and pictures: the pixels of the files."""

from __future__ import annotations

import base64
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_run import read, squeeze

from s2s_plugin.report.drawing.attention import attention_shares, draw
from s2s_plugin.report.drawing.style import ACCENT, to_png
from s2s_plugin.report.page import write_report
from s2s_plugin.report.run import Attention, read_run

Image = pytest.importorskip("PIL.Image")

AUDIO = {"modality": "audio", "stride": 4, "seconds_per_frame": 0.01, "target_tokens": ["▁a", "b"]}
VIDEO = {**AUDIO, "modality": "video", "stride": 1, "seconds_per_frame": 0.04}
IMAGE = {"modality": "image", "grid": [4, 4], "target_tokens": ["▁dog"]}


def write_item(folder: Path, features: np.ndarray, attention: list[list[float]], item: dict[str, Any]) -> Path:
    """A run with one item, as the generate stage writes it."""
    (folder / "attention").mkdir(parents=True)
    np.save(folder / "attention" / "3.npy", features)
    line = {"id": 3, "features": "attention/3.npy", "attention": attention, **item}
    (folder / "attention.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (folder / "outputs.jsonl").write_text(json.dumps({"id": 3, "hypothesis": "a"}) + "\n", encoding="utf-8")
    return folder


def pixels(run_dir: Path) -> np.ndarray:
    """The first picture of the run's report, H x W x RGB."""
    write_report(run_dir)
    with Image.open(run_dir / "report" / "attention-3.png") as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is true."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def like(picture: np.ndarray, colour: tuple[int, int, int] | str, tolerance: int = 12) -> np.ndarray:
    rgb = tuple(bytes.fromhex(colour[1:])) if isinstance(colour, str) else colour
    return (abs(picture - rgb) <= tolerance).all(axis=-1)


def looks(steps: int, *places: int) -> list[list[float]]:
    """Attention of tokens that look at nothing but their place."""
    return np.eye(steps)[list(places)].tolist()


def test_attention_stands_below_the_sound_it_looks_at(tmp_path: Path) -> None:
    sound = np.full((98, 80), -3, np.float16)  # the last memory step has two frames
    sound[60:64, :20] = 4  # low
    picture = pixels(write_item(tmp_path, sound, looks(25, 15, 15), AUDIO))
    left, top, right, bottom = box(like(picture, (0, 0, 4)))  # the silence
    loud = box(like(picture, (252, 253, 191)))
    attended = box(like(picture, ACCENT))
    assert loud[0] == pytest.approx(left + (right - left) * 60 / 98, abs=3)
    assert loud[2] == pytest.approx(left + (right - left) * 64 / 98, abs=3)
    assert (attended[0], attended[2]) == pytest.approx((loud[0], loud[2]), abs=3)
    assert (loud[1], loud[3]) == pytest.approx((bottom - (bottom - top) / 4, bottom), abs=3)
    assert attended[1] > bottom  # below


def test_rows_of_attention_are_the_tokens_in_order(tmp_path: Path) -> None:
    run_dir = write_item(tmp_path, np.zeros((100, 80), np.float16), looks(25, 20, 5), AUDIO)
    rows, columns = np.nonzero(like(pixels(run_dir), ACCENT))
    middle = (columns.min() + columns.max()) / 2
    assert rows[columns > middle].max() <= rows[columns < middle].min() + 2
    figure = draw(read_run(run_dir).attention[3])
    first, second = figure.axes[-1].texts
    assert (first.get_text(), second.get_text()) == ("▁a", "b")
    assert first.get_window_extent().y0 > second.get_window_extent().y1  # counted from below


def test_film_strip_frames_what_is_attended(tmp_path: Path) -> None:
    frames = np.repeat(np.arange(48, dtype=np.uint8) * 4, 24 * 24).reshape(48, 24, 24)
    picture = pixels(write_item(tmp_path, frames, looks(48, 31, 31), VIDEO))
    marked = like(picture, ACCENT)
    gap = np.flatnonzero(~marked.any(axis=1) & (np.arange(len(marked)) > box(marked)[1]))[0]  # below the strip
    frame = box(marked[:gap])
    attended = box(marked[gap:])
    assert frame[0] - 2 <= attended[0] and attended[2] <= frame[2] + 2
    centre = picture[(frame[1] + frame[3]) // 2, (frame[0] + frame[2]) // 2]
    np.testing.assert_allclose(centre, 31 * 4, atol=2)  # three frames stand for 48: the middle one is shown
    assert frame[2] - frame[0] == pytest.approx(frame[3] - frame[1], abs=3)  # square, as its pixels are


def test_shares_of_the_film_add_up() -> None:
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    film = np.zeros((10, 2, 2))  # the last of four memory steps is mostly beyond the end
    item = Attention(0, "ab", weights, modality="video", signal=film, stride=3, seconds_per_frame=0.04)
    shares, edges = attention_shares(item, 2)
    np.testing.assert_allclose(shares, [1.0, 1.0])
    np.testing.assert_allclose(edges, [0.0, 0.2, 0.4])


def test_picture_glows_where_the_token_looks(tmp_path: Path) -> None:
    blue = np.full((64, 64, 3), (0, 0, 200), np.uint8)
    picture = pixels(write_item(tmp_path, blue, looks(16, 7), IMAGE))
    left, top, right, bottom = box(like(picture, (0, 0, 200)))
    copy = picture[top:bottom, right:]
    glow = copy[..., 0] - copy[..., 2]  # orange, not grey
    rows, columns = np.nonzero(glow > glow.max() / 2)
    size = bottom - top
    start = box(copy.min(axis=-1) < 250)[0]
    assert (columns.mean() - start) / size == pytest.approx(7 / 8, abs=0.06)  # the last column of four
    assert rows.mean() / size == pytest.approx(3 / 8, abs=0.06)  # the second row of four
    assert right - left == pytest.approx(size, abs=2)


def test_no_more_tokens_than_fit(tmp_path: Path) -> None:
    image = {**IMAGE, "target_tokens": [f"t{n}" for n in range(30)]}
    run_dir = write_item(tmp_path, np.zeros((8, 8, 3), np.uint8), looks(16, *[0] * 30), image)
    assert "The first 23 of 30 tokens." in read(write_report(run_dir)).text
    figure = draw(read_run(run_dir).attention[3])
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[1:] == [f"t{n}" for n in range(23)]


@pytest.mark.parametrize(
    ("features", "steps", "item", "lead"),
    [
        (np.zeros((40, 80), np.float16), 10, AUDIO, "spectrogram"),
        (np.zeros((10, 8, 8), np.uint8), 10, VIDEO, "frames as the model sees them"),
        (np.zeros((8, 8, 3), np.uint8), 16, {**IMAGE, "target_tokens": ["a", "b"]}, "gray copy"),
    ],
)
def test_page_shows_the_picture(tmp_path: Path, features: np.ndarray, steps: int, item: dict, lead: str) -> None:
    run_dir = write_item(tmp_path, features, looks(steps, 0, 1), item)
    page = read(write_report(run_dir))
    (shown,) = page.attributes("img", "src")
    assert base64.b64decode(shown.split(",")[1]) == (run_dir / "report" / "attention-3.png").read_bytes()
    assert lead in squeeze(page.text) and "each column a source token" not in page.text


def test_labels_of_any_script() -> None:
    pytest.importorskip("noto_cjk_sans_jp_regular")
    tokens = ("▁한국어", "漢字", "$x$")
    sound = {"modality": "audio", "signal": np.zeros((4, 80)), "stride": 2, "seconds_per_frame": 0.01}
    figure = draw(Attention(1, tokens, np.full((3, 2), 0.5), **sound))
    assert Image.open(io.BytesIO(to_png(figure))).size[0] > 1000
    assert [label.get_text() for label in figure.axes[-1].texts] == list(tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph
        figure.savefig(io.BytesIO(), format="png")
