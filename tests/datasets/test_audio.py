"""Audio: features equal an independent computation; every usual format reads alike; broken files are named."""

from __future__ import annotations

import numpy as np
import pytest
from media import RATE, item, tones, write_wav
from recipes import sample

from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.frontends.audio import AudioConfig, filterbank, read_audio
from s2s_plugin.errors import UserError


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
