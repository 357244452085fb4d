"""Example outputs: which, with what highlighted, beside which recording, film or picture."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from media import write_image, write_video, write_wav
from report_run import PAIRS, read, write_run

from s2s_plugin.errors import UserError
from s2s_plugin.report.page import write_report
from s2s_plugin.report.run import Output
from s2s_plugin.report.sections.examples import choose, highlight
from s2s_plugin.report.sections.media import media_uri
from s2s_plugin.report.words import count_words, split

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_every_example_is_there_once_and_escaped(run_dir: Path) -> None:
    page = read(write_report(run_dir))
    assert set(page.examples) == {f"example-{number}" for number in range(len(PAIRS))}
    for number, (source, reference, hypothesis) in enumerate(PAIRS):
        text = page.examples[f"example-{number}"]
        assert source in text and reference in text
        assert (hypothesis or "(empty)") in text
        assert f"−{0.43 + number:.2f}" in text
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_the_worst_tell_how_rare_their_words_are_in_training(run_dir: Path, tmp_path: Path) -> None:
    data = tmp_path / "prepared"
    (data / "text").mkdir(parents=True)
    (data / "text/train.en").write_text("script Script script\nalert\nscript, Two\n" * 1000, encoding="utf-8")
    (run_dir / "data").mkdir()
    (run_dir / "data/prepared.json").write_text('{"pairs": {"train": 3000, "test": 8}}')
    with (run_dir / "config.yaml").open("a") as config:
        config.write(f"task: {{_name: s2s, data: {data}, source_lang: en}}\n")
    page = read(write_report(run_dir))
    assert "multi30k, 3,000 training pairs" in page.text
    shown = {number: text for number, text in page.examples.items() if "In training" in text}
    assert "1: 0, alert: 1,000, script: 2,000" in shown["example-5"]
    assert len(shown) == 3 and "Two" not in "".join(shown.values())
    (data / "text/train.en").unlink()
    assert "In training" not in read(write_report(run_dir)).text


def test_signals_and_several_references(run_dir: Path) -> None:
    """No source text; the nearest of the references is the one compared with."""
    items = [
        {"id": n, "source": None, "reference": ["nothing alike", f"words {n}"], "hypothesis": f"words {n}"}
        for n in range(4)
    ]
    lengths = (120, 480, 900, 2900)
    lines = [json.dumps({**item, "length": length}) for item, length in zip(items, lengths, strict=True)]
    (run_dir / "outputs.jsonl").write_text("\n".join(lines))
    page = read(write_report(run_dir))
    assert "Source" not in page.examples["example-0"]
    assert "chrF 100.0" in page.examples["example-3"]
    assert "1–500" in page.text and "2501+" in page.text and "Frames" in page.text


def test_choose_repeats_nothing_and_is_reproducible() -> None:
    outputs = [Output(n, "a b c d e f g"[:n], "a b c d e f g") for n in range(1, 41)]
    outputs += [Output(50, "no reference")]
    groups = choose(outputs)
    ids = [example.output.id for examples in groups.values() for example in examples]
    assert [len(examples) for examples in groups.values()] == [5, 5, 5]
    assert len(set(ids)) == 15
    assert ids == [e.output.id for group in choose(outputs).values() for e in group]
    assert groups["Worst"][0].output.id == 1  # the shortest has least in common with the reference


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("a b c", "a x c", "a <ins>b</ins> c"),
        ("<i> & b", "", "<ins>&lt;i&gt; &amp; b</ins>"),
        ("我喜欢猫", "我喜欢狗", "我喜欢<ins>猫</ins>"),
        ("don't stop", "don't", "don&#39;t <ins>stop</ins>"),
        ("same", "same", "same"),
    ],
)
def test_highlight(text: str, other: str, expected: str) -> None:
    assert highlight(text, other, "ins") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog's life, isn't it?", 5),
        ("두 남자가 이야기한다.", 3),
        ("我喜欢猫。", 4),
        ("हिन्दी में", 2),
        ("—", 0),
        ("", 0),
    ],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == words
    assert "".join(split(text)) == text


def parsed(uri: str) -> tuple[str, bytes]:
    """Media type and content of a data address."""
    kind, data = uri.removeprefix("data:").split(";base64,")
    return kind, base64.b64decode(data)


def decoded(path: Path) -> np.ndarray:
    """The pixels of a picture in the page, H x W x RGB."""
    kind, content = parsed(media_uri(str(path)))
    picture = Image.open(io.BytesIO(content))
    assert kind == Image.MIME[picture.format]
    return np.asarray(picture.convert("RGB")).astype(int)


def test_example_with_media_shows_it_its_name_and_the_speaker(run_dir: Path) -> None:
    recording = write_wav(run_dir / "a & b.wav", np.zeros(800))
    item = {"id": 7, "source": None, "reference": "a", "hypothesis": "a", "length": 10, "media": str(recording)}
    (run_dir / "outputs.jsonl").write_text(json.dumps({**item, "speaker": "<george>"}))
    path = write_report(run_dir)
    page = read(path)
    assert "Source" in page.examples["example-7"] and "a & b.wav" in page.examples["example-7"]
    assert "speaker <george>" in page.examples["example-7"]
    (address,) = page.attributes("audio", "src")
    assert parsed(address) == ("audio/wav", recording.read_bytes())
    (policy,) = [text for text in page.attributes("meta", "content") if text.startswith("default-src")]
    assert "media-src data:" in policy


def test_large_recording_is_only_named(tmp_path: Path) -> None:
    assert media_uri(str(write_wav(tmp_path / "long.wav", np.zeros(250_000)))) == ""


def test_picture_is_made_small_and_keeps_its_colours(tmp_path: Path) -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:] = (220, 30, 30), (30, 60, 220)
    small = decoded(write_image(tmp_path / "flag.png", pixels))
    assert small.shape == (40, 160, 3)
    np.testing.assert_allclose(small[20, 40], (220, 30, 30), atol=6)
    np.testing.assert_allclose(small[20, 120], (30, 60, 220), atol=6)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    small = decoded(write_image(tmp_path / "clear.png", np.zeros((20, 20, 4), np.uint8)))
    assert small.min() > 250


def grey_frames(levels: list[int]) -> list[np.ndarray]:
    return [np.full((48, 64, 3), level, np.uint8) for level in levels]


@pytest.mark.parametrize("folder", [False, True])
def test_film_is_five_frames_side_by_side(tmp_path: Path, folder: bool) -> None:
    frames = grey_frames([40] * 5 + [80] * 5 + [120] * 5 + [160] * 5 + [200] * 5)
    path = tmp_path / "film"
    if folder:
        path.mkdir()
        for count, frame in enumerate(frames):
            write_image(path / f"{count:03}.png", frame)
    else:
        pytest.importorskip("av")
        path = write_video(tmp_path / "film.mp4", frames)
    strip = decoded(path)
    assert strip.shape == (48, 5 * 64, 3)
    np.testing.assert_allclose(strip[24, 32::64, 0], [40, 80, 120, 160, 200], atol=8)


@pytest.mark.parametrize("name", ["gone.wav", "gone.jpg", "gone.mp4", "broken.jpg", "broken.mp4", "empty"])
def test_media_that_cannot_be_shown_are_named(run_dir: Path, name: str) -> None:
    path = run_dir / name
    if name == "empty":
        path.mkdir()
    elif name.startswith("broken"):
        path.write_bytes(b"neither a picture nor a film")
    (run_dir / "outputs.jsonl").write_text(json.dumps({"id": 1, "hypothesis": "a", "media": str(path)}))
    page = write_report(run_dir).read_text()
    assert f'<span class="media"><span class="quiet">{name}</span></span>' in page


def test_film_without_av_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    path = write_video(tmp_path / "film.mp4", grey_frames([100] * 5))
    assert media_uri(str(path)).startswith("data:image/jpeg")
    monkeypatch.setitem(sys.modules, "av", None)
    assert media_uri(str(path)) == ""


@pytest.mark.parametrize("place", ["outside", "link", "listed"])
def test_only_media_of_the_run_or_its_data_get_into_the_page(run_dir: Path, tmp_path: Path, place: str) -> None:
    secret = write_image(tmp_path / "secret.png", np.zeros((20, 20, 3), np.uint8))
    named, config = secret, "app: asr\n"
    if place == "link":
        named = run_dir / "link.png"
        named.symlink_to(secret)
    if place == "listed":
        config += f"task: {{_name: s2s, data: {tmp_path}}}\ndataset: {{gen_subset: test}}\n"
        (tmp_path / "test.tsv").write_text("id\timage\ttgt_text\n1\tsecret.png\ta\n")
    (run_dir / "config.yaml").write_text(config)
    (run_dir / "outputs.jsonl").write_text(json.dumps({"id": 1, "hypothesis": "a", "media": str(named)}))
    page = write_report(run_dir).read_text()
    assert ("data:image/jpeg" in page) == (place == "listed")
    assert named.name in page


def test_features_outside_the_run_and_pickled_ones_are_refused(run_dir: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "secret.npy", np.zeros((2, 2)))
    np.save(run_dir / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    for name, message in (("../secret.npy", "must be a file in"), (str(tmp_path / "secret.npy"), "must be a file in"),
                          ("/dev/zero", "must be a file in"), ("pickled.npy", "unreadable")):  # fmt: skip
        item = {"id": 0, "target_tokens": ["a"], "attention": [[1.0]], "modality": "audio", "features": name}
        (run_dir / "attention.jsonl").write_text(json.dumps(item) + "\n")
        with pytest.raises(UserError, match=message):
            write_report(run_dir)
