"""Pictures and recordings in the page: the pixels and features of Python."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from media import item, tones, write_image, write_wav
from node import NEEDS_NODE, run_module

from s2s_plugin.datasets.frontends import build_frontend, load
from s2s_plugin.errors import UserError

pytestmark = NEEDS_NODE

PICTURES = """
import { ImageFrontend } from "./frontends/image.js";
const run = ({ options, pictures }) => pictures.map(({ width, height, pixels }) => {
  const picture = { width, height, pixels: new Uint8Array(Buffer.from(pixels, "base64")) };
  const source = new ImageFrontend(options).read(picture);
  return { length: source.length, values: [...source.values] };
});
"""
SOUNDS = """
import { AudioFrontend } from "./frontends/audio.js";
import { readWav } from "./frontends/sound.js";
const run = ({ options, files }) => files.map((file) => {
  try {
    const { length, values } = new AudioFrontend(options).read(readWav(new Uint8Array(fs.readFileSync(file))));
    return { length, values: [...values] };
  } catch (error) {
    return { problem: error.message };
  }
});
"""
AUDIO = {"sample_rate": 8000, "mel_bins": 20, "frame_shift_ms": 10.0, "normalize": "channel", "max_seconds": 2.0}
OTHER_FEATURES = ({"normalize": "level", "frame_shift_ms": 12.5}, {"normalize": "none", "mel_bins": 40})


@pytest.mark.parametrize("fit", ["crop", pytest.param("pad", marks=pytest.mark.slow)])
def test_pixels_are_those_of_pillow(tmp_path: Path, fit: str):
    rng = np.random.default_rng(1)
    frontend = build_frontend("image", options := {"size": 24, "fit": fit, "max_megapixels": 1.0})
    shapes = [(24, 24), (100, 70), (31, 200), (7, 5), (24, 57), (25, 24), (480, 640), (3, 24)]
    pictures, expected = [], []
    for number, (height, width) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        path = write_image(tmp_path / f"{number}.png", pixels)
        pictures.append({"width": width, "height": height, "pixels": base64.b64encode(pixels.tobytes()).decode()})
        expected.append(frontend.to_tensor(load(frontend, item(path))).numpy())
    for mine, other in zip(run_module(PICTURES, {"options": options, "pictures": pictures}), expected, strict=True):
        assert np.array_equal(np.float32(mine["values"]).reshape(other.shape), other) and mine["length"] == 24


def read_sounds(files: list[Path], **options: Any) -> tuple[list[dict], list[np.ndarray]]:
    """Return the features of the page and of Python."""
    frontend = build_frontend("audio", AUDIO | options)
    found = run_module(SOUNDS, {"options": AUDIO | options, "files": list(map(str, files))})
    return found, [frontend.to_tensor(load(frontend, item(file))).numpy() for file in files]


@pytest.mark.parametrize("options", [{}, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_FEATURES)])
def test_features_are_kaldis_for_every_kind_of_wav(tmp_path: Path, options: dict[str, Any]):
    samples = tones("abcd", np.random.default_rng(1))
    both = np.stack((samples, samples[::-1]), 1)
    files = [write_wav(tmp_path / "mono.wav", samples), write_wav(tmp_path / "stereo.wav", both)]
    files.append(write_wav(tmp_path / "cancels.wav", np.stack((samples, -samples * 0.98), 1)))
    for coding in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        files.append(tmp_path / f"{coding}.wav")
        soundfile.write(files[-1], both, 8000, coding)
    soundfile.write(tmp_path / "long.wav", samples, 8000, "PCM_16", format="WAVEX")
    for mine, other in zip(*read_sounds([*files, tmp_path / "long.wav"], **options), strict=True):
        values = np.float32(mine["values"]).reshape(other.shape)
        assert mine["length"] == len(other)
        assert np.abs(values - other).max() <= 2.0**-6  # of up to 16, in 16 bits; smaller ones as exactly
        assert (values == other).mean() > 0.98


@pytest.mark.parametrize("rate", [44100, *(pytest.param(rate, marks=pytest.mark.slow) for rate in (16000, 5000))])
def test_other_rates_are_resampled_as_by_soxr(tmp_path: Path, rate: int):
    samples = soxr.resample(tones("abcd", np.random.default_rng(1)), 8000, rate)
    (mine,), (other,) = read_sounds([write_wav(tmp_path / "other.wav", samples, rate)])
    difference = np.float32(mine["values"]).reshape(other.shape) - other
    assert mine["length"] == len(other) and np.sqrt((difference**2).mean()) < 0.02


def test_unusable_recordings_are_refused_as_in_python(tmp_path: Path):
    samples = tones("abcd", np.random.default_rng(1))
    frontend = build_frontend("audio", AUDIO)
    files = {
        "short": samples[:100],
        "silent": samples * 1e-7,
        "long": np.tile(samples, 6),
        "infinite": np.append(samples, np.inf),
        "cut": samples,
    }
    for name, sound in files.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, 8000, "FLOAT")
    cut = tmp_path / "cut.wav"
    cut.write_bytes(cut.read_bytes()[:-1000])
    paths = [tmp_path / f"{name}.wav" for name in files]
    for path, found in zip(paths, run_module(SOUNDS, {"options": AUDIO, "files": list(map(str, paths))}), strict=True):
        with pytest.raises(UserError) as refused:
            load(frontend, item(path))
        words = found["problem"].split()
        assert words[:2] == str(refused.value).removeprefix(f"{path}: ").split()[:2], (found, str(refused.value))
