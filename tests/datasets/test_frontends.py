"""Frontends: features equal an independent computation; every usual format reads alike; broken files are named."""

from __future__ import annotations

import numpy as np
import pytest
from media import FPS, RATE, bars, halves, tones, write_image, write_video, write_wav
from recipes import sample

from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.frontends.audio import AudioConfig, filterbank, read_audio
from s2s_plugin.datasets.frontends.mouth import mouth_box
from s2s_plugin.datasets.frontends.video import at_rate, read_video
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError


def item(path, box: str = "") -> Item:
    return Item("x", path, (), box=box)


# ------------------------------------------------------------------- audio


def kaldi_filterbank(waveform: np.ndarray, rate: int, bins: int) -> np.ndarray:
    """Kaldi's feat/feature-fbank.cc with its default options and no dither, in float64."""
    width, shift = rate * 25 // 1000, rate * 10 // 1000
    size = 1 << (width - 1).bit_length()
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / (width - 1))) ** 0.85

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(20), mel(rate / 2), bins + 2)
    centres = mel(np.arange(size // 2) * rate / size)
    up = (centres[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - centres[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.minimum(up, down).clip(0)
    rows = []
    for start in range(0, len(waveform) - width + 1, shift):
        frame = waveform[start : start + width].astype(np.float64) * 32768
        frame -= frame.mean()
        frame -= 0.97 * np.concatenate((frame[:1], frame[:-1]))
        power = np.abs(np.fft.rfft(frame * window, size)[: size // 2]) ** 2
        rows.append(np.log(np.maximum(power @ triangles, np.finfo(np.float32).eps)))
    return np.array(rows)


@pytest.mark.parametrize(("rate", "bins"), [(8000, 40), (16000, 80)])
def test_filterbank_is_kaldis(rate, bins):
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.standard_normal(rate // 2) + 0.3 * np.sin(np.arange(rate // 2) / 5)).astype(np.float32)
    found = filterbank(waveform, AudioConfig(sample_rate=rate, mel_bins=bins))
    expected = kaldi_filterbank(waveform, rate, bins)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-3


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return tones("abcd", np.random.default_rng(1))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_and_channels_read_alike(tmp_path, samples, ending, channels):
    import soundfile

    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([samples] * channels, 1), RATE)
    frontend = build_frontend("audio", {"sample_rate": RATE, "normalize": "none"})
    reference = frontend.load(item(write_wav(tmp_path / "reference.wav", samples)))
    found = frontend.load(item(path))
    assert found.shape == reference.shape
    if ending == "ogg":  # loses what is hard to hear
        assert np.abs(found.max(1) - reference.max(1)).mean() < 0.5
        assert (found.argmax(1) == reference.argmax(1)).mean() > 0.8
    else:
        assert np.abs(found - reference).mean() < 0.01


def test_other_rates_are_resampled(tmp_path, samples):
    import soxr

    slow = write_wav(tmp_path / "slow.wav", samples)
    fast = write_wav(tmp_path / "fast.wav", soxr.resample(samples, RATE, 44100), 44100)
    frontend = build_frontend("audio", {"sample_rate": RATE, "mel_bins": 20})
    one, other = frontend.load(item(slow)), frontend.load(item(fast))
    assert abs(len(one) - len(other)) <= 1
    assert np.abs(one[:40, :18] - other[:40, :18]).mean() < 0.1


def test_features_are_normalized(tmp_path, samples):
    path = write_wav(tmp_path / "a.wav", samples)
    features = build_frontend("audio", {"sample_rate": RATE}).load(item(path)).astype(np.float32)
    assert np.abs(features.mean(0)).max() < 1e-2
    assert np.abs(features.std(0) - 1).max() < 1e-2
    level = build_frontend("audio", {"sample_rate": RATE, "normalize": "level"}).load(item(path)).astype(np.float32)
    assert abs(level.mean()) < 1e-2 and abs(level.std() - 1) < 1e-2 and np.abs(level.mean(0)).max() > 0.1
    raw = build_frontend("audio", {"sample_rate": RATE, "normalize": "none"}).load(item(path))
    assert raw.mean() > 1


def broken_sounds(folder) -> dict[str, bytes | np.ndarray]:
    good = write_wav(folder / "good.wav", tones("ab", np.random.default_rng(1))).read_bytes()
    return {
        "empty.wav": b"",
        "text.wav": b"no sound at all, just words",
        "header.wav": b"RIFF\0\0\0\0WAVEjunk" + bytes(40),
        "cut.wav": good[: len(good) // 2],
        "silent.wav": np.zeros(RATE),
        "short.wav": np.ones(50) * 0.1,
        "nothing.wav": np.zeros(0),
        "long.wav": np.random.default_rng(0).normal(0, 0.1, RATE * 70),
        "nan.wav": np.full(RATE, np.nan, np.float32),
    }


def test_broken_sounds_are_named(tmp_path):
    import soundfile

    frontend = build_frontend("audio", {"sample_rate": RATE})
    expected = {
        "empty.wav": "0 bytes",
        "text.wav": "not a sound file",
        "header.wav": "not a sound file",
        "cut.wav": "truncated",
        "silent.wav": "silent throughout",
        "short.wav": "must be at least 25 ms",
        "nothing.wav": "must be at least 25 ms",
        "long.wav": "audio.max_seconds",
        "nan.wav": "must be finite",
    }
    for name, content in broken_sounds(tmp_path).items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            soundfile.write(path, content, RATE, subtype="FLOAT" if name == "nan.wav" else None)
        with pytest.raises(UserError) as caught:
            frontend.load(item(path))
        assert str(path) in str(caught.value), name
        assert expected[name] in str(caught.value), name
    with pytest.raises(UserError, match="no such file"):
        frontend.load(item(tmp_path / "absent.wav"))


def test_the_sound_track_of_a_video():
    samples, rate = read_audio(sample("grid") / "bgbh7a.mpg")
    assert rate == 44100
    assert 2.5 < len(samples) / rate < 3.5
    assert 0.01 < np.abs(samples).max() <= 1.01


# ------------------------------------------------------------------- video


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
    found = list(read_video(path, fps))
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
    left, top, width, height = mouth_box(np.asarray(frame.convert("L")) for frame in read_video(path, 25.0))
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


# ------------------------------------------------------------------- image


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp"])
def test_usual_formats(tmp_path, ending):
    pixels = halves(["red", "blue"], np.random.default_rng(1))
    found = build_frontend("image", {"size": 32}).load(item(write_image(tmp_path / f"a.{ending}", pixels)))
    assert found.shape == (32, 32, 3)
    assert np.abs(found.astype(int) - pixels).mean() < (12 if ending in ("jpg", "webp") else 1)


def test_crop_and_pad(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 100
    path = write_image(tmp_path / "wide.png", pixels)
    assert (build_frontend("image", {"size": 20}).load(item(path)) == 100).mean() > 0.9
    padded = build_frontend("image", {"size": 40, "fit": "pad"}).load(item(path))
    assert (padded[:8] == 255).all() and (padded[12:28, :8] == 0).all()


def test_transparency_is_white_and_cameras_are_turned_upright(tmp_path):
    from PIL import Image

    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    frontend = build_frontend("image", {"size": 8})
    assert (frontend.load(item(tmp_path / "clear.png")) == 255).all()
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste("white", (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    picture.save(tmp_path / "turned.png", exif=exif)
    found = frontend.load(item(tmp_path / "turned.png"))
    assert (found[:4] == 0).all() and (found[4:] == 255).all()
    assert frontend.to_tensor(found).unique().tolist() == [-1.0, 1.0]


def test_broken_pictures_are_named(tmp_path):
    from PIL import Image

    good = write_image(tmp_path / "good.png", halves(["red", "blue"], np.random.default_rng(1)))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("words")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:800])
    Image.new("1", (10_000, 5_000)).save(tmp_path / "huge.png")
    for name, reason in {
        "empty.png": "0 bytes",
        "text.png": "unknown format",
        "cut.png": "not an image",
        "huge.png": "50 megapixels",
        "absent.png": "no such file",
    }.items():
        with pytest.raises(UserError) as caught:
            build_frontend("image", {}).load(item(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value) and reason in str(caught.value), name
