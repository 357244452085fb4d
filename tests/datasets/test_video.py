"""Video: frames by time, the mouth region, normalization; broken files are named."""

from __future__ import annotations

import struct
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import FPS, bars, item, tones, write_image, write_video, write_wav
from recipes import sample

from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.frontends.mouth import mouth_box
from s2s_plugin.datasets.frontends.video import at_rate, read_frames
from s2s_plugin.errors import UserError


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    frames = bars("adbc", np.random.default_rng(1))
    return write_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames), frames


def test_frames_at_the_videos_own_rate(clip):
    path, frames = clip
    found = build_frontend("video", {"height": 48, "width": 64}).load(item(path))
    assert found.shape == (len(frames), 48, 64)
    assert np.abs(found.astype(int) - np.stack(frames)[..., 0]).mean() < 6


@pytest.mark.parametrize("fps", [12.5, 50.0])
def test_another_rate_takes_frames_by_time(clip, fps):
    path, frames = clip
    found = list(read_frames(path, fps))
    assert len(found) == -(-len(frames) * fps // FPS)
    for number, frame in enumerate(found):
        shown = frames[int(number * FPS / fps + 1e-9)]
        assert np.abs(np.asarray(frame).astype(int) - shown).mean() < 6


def test_times_that_are_not_even():
    shown = list(at_rate([(5.0, "a"), (5.1, "b"), (5.4, "c")], fps=10))
    assert shown == ["a", "b", "b", "b", "c", "c", "c"]
    assert list(at_rate([(0.0, "only")], fps=25)) == ["only"]
    assert list(at_rate([], fps=25)) == []


def test_the_box_is_cut_out_at_the_right_aspect(clip):
    path, frames = clip
    whole = build_frontend("video", {"height": 48, "width": 64}).load(item(path))
    config = {"height": 16, "width": 32, "box": "32x16+0+8"}
    found = build_frontend("video", config).load(item(path))
    assert found.shape == (len(frames), 16, 32)
    assert np.abs(found.astype(int) - whole[:, 8:24, :32]).mean() < 4
    other = build_frontend("video", config).load(item(path, box="32x16+32+8"))
    assert np.abs(other.astype(int) - whole[:, 8:24, 32:]).mean() < 4
    square = build_frontend("video", {"height": 16, "width": 16}).load(item(path, box="32x16+0+8"))
    assert np.abs(square.astype(int) - whole[:, 8:24, 8:24]).mean() < 4


def test_normalized_clips(clip):
    path, _ = clip
    stored = build_frontend("video", {}).load(item(path))
    whole = build_frontend("video", {}).to_tensor(stored)
    assert abs(whole.mean()) < 1e-4 and abs(whole.std() - 1) < 1e-3
    moving = build_frontend("video", {"normalize": "pixel"}).to_tensor(stored)
    assert moving.mean(0).abs().max() < 1e-4 and abs(moving.std() - 1) < 1e-3
    assert moving[:, 0, 0].abs().max() < 0.3, "a corner that does not move"
    with pytest.raises(UserError, match=r"video\.normalize must be clip or pixel, got frame"):
        build_frontend("video", {"normalize": "frame"})


def test_a_folder_of_frames_is_a_video(tmp_path, clip):
    _, frames = clip
    for number, frame in enumerate(frames):
        write_image(tmp_path / f"{number:03}.png", frame)
    (tmp_path / "notes.txt").write_text("not a frame")
    found = build_frontend("video", {"height": 48, "width": 64}).load(item(tmp_path))
    assert np.abs(found.astype(int) - np.stack(frames)[..., 0]).max() <= 1


def test_the_mouth_is_found(tmp_path, clip):
    """Near where a person put the box for this speaker, 110x55+105+178."""
    path = sample("grid") / "bwbhzp.mpg"
    left, top, width, height = mouth_box(np.asarray(frame.convert("L")) for frame in read_frames(path, 25.0))
    assert left + width / 2 == pytest.approx(105 + 110 / 2, abs=10)
    assert top + height / 2 == pytest.approx(178 + 55 / 2, abs=10)
    assert width == pytest.approx(110, rel=0.25)
    assert height == pytest.approx(55, rel=0.25)
    found = build_frontend("video", {"box": "mouth"}).load(item(path))
    given = build_frontend("video", {"box": f"{width}x{height}+{left}+{top}"}).load(item(path))
    assert np.array_equal(found, given)
    with pytest.raises(UserError, match=r"a\.mp4: no face detected; set video\.box="):
        build_frontend("video", {"box": "mouth"}).load(item(clip[0]))


def test_broken_videos_are_named(tmp_path, clip):
    path, _ = clip
    frontend = build_frontend("video", {})
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("just words " * 50)
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:300])
    (tmp_path / "no_frames").mkdir()
    write_wav(tmp_path / "sound.wav", tones("ab", np.random.default_rng(1)))
    for name, reason in {
        "empty.mp4": "0 bytes",
        "text.mp4": "not a video",
        "cut.mp4": "not a video",
        "no_frames": "has no frames",
        "sound.wav": "must have a video track",
        "absent.mp4": "no such file",
    }.items():
        with pytest.raises(UserError) as caught:
            frontend.load(item(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value) and reason in str(caught.value), name
    with pytest.raises(UserError, match="must lie within the frames of 64 x 48"):
        frontend.load(item(path, box="30x10+40+0"))
    with pytest.raises(UserError, match="box must be WIDTHxHEIGHT"):
        frontend.load(item(path, box="30x10"))
    with pytest.raises(UserError, match=r"video\.max_seconds"):
        build_frontend("video", {"max_seconds": 0.2}).load(item(path))


# Matrix of the track header (a, b, c, d) and what a player does to the frame
TURNS = {
    "clockwise": ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    "half": ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
    "counterclockwise": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
}


@pytest.mark.parametrize("name", TURNS)
def test_recordings_of_telephones_are_turned_upright(tmp_path, clip, name):
    path, frames = clip
    matrix, turn = TURNS[name]
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = (value * 65536 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    found = [np.asarray(frame) for frame in read_frames(tmp_path / "turned.mp4", FPS)]
    assert len(found) == len(frames)
    for image, frame in zip(found, frames, strict=True):
        assert image.shape == turn(frame).shape
        assert np.abs(image.astype(int) - turn(frame)).mean() < 6


@pytest.mark.parametrize(("aspect", "size"), [((2, 1), (128, 48)), ((1, 2), (64, 96)), ((16, 15), (68, 48))])
def test_pixels_that_are_not_square(tmp_path, clip, aspect, size):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for frame in clip[1]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert {frame.size for frame in read_frames(tmp_path / "a.mp4", FPS)} == {size}


def test_numbered_frames_come_in_the_order_of_numbers(tmp_path):
    for number in range(1, 13):
        write_image(tmp_path / f"frame{number}.png", np.full((8, 8, 3), 20 * number, np.uint8))
    write_image(tmp_path / "._frame1.png", np.zeros((8, 8, 3), np.uint8))  # of a Mac's archive
    found = build_frontend("video", {"height": 8, "width": 8}).load(item(tmp_path))
    assert found[:, 0, 0].tolist() == [20 * number for number in range(1, 13)]


def test_frames_are_read_as_pictures_are(tmp_path):
    from PIL import Image

    pixels = np.zeros((6, 8), np.uint16)
    pixels[:3] = 65535
    Image.fromarray(pixels).save(tmp_path / "1.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray((pixels // 257).astype(np.uint8)).save(tmp_path / "2.jpg", exif=exif, quality=100)
    first, second = build_frontend("video", {"height": 6, "width": 8}).load(item(tmp_path))
    assert (first[:3] == 255).all() and (first[3:] == 0).all()
    assert (second[:3] < 9).all() and (second[3:] > 246).all()


def test_a_colon_in_a_name_is_no_protocol(tmp_path, clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:a.mp4").write_bytes(clip[0].read_bytes())
    assert len(list(read_frames(Path("http:a.mp4"), FPS))) == len(clip[1])


def test_other_files_of_a_playlist_are_not_read(tmp_path, clip):
    """Whoever sends a file to a server must not see others of it."""
    path = tmp_path / "list.m3u8"
    lines = "#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", f"file://{clip[0]}", "#EXT-X-ENDLIST"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"list\.m3u8: not a video"):
        build_frontend("video", {}).load(item(path))


def test_a_description_of_a_stream_opens_no_socket(tmp_path):
    path = tmp_path / "stream.mp4"
    path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9000 RTP/AVP 0\n")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"stream\.mp4: not a sound file"):
        build_frontend("audio", {}).load(item(path))
    assert time.monotonic() - began < 5
