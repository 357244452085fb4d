"""Audio: features equal an independent computation; every usual format reads alike; broken files are named."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from media import RATE, item, tones, write_wav
from recipes import sample

from s2s_plugin.datasets.frontends import build_frontend, load
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


# ------------------------------------------------- headers that are wrong about the length

LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"
PCM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
EXTENSIBLE = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4) + bytes.fromhex(
    "0100000000001000800000aa00389b71"
)
TONE = (0.3 * np.sin(np.arange(RATE // 2) / 3) * 32767).astype("<i2")
N = TONE.nbytes


def wav_bytes(declared: int, riff: int | None = None, before=b"", after=b"", fmt=PCM, magic=b"RIFF") -> bytes:
    """A wav file of TONE whose header says that it has ``declared`` bytes."""
    head = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + before
    riff = declared + len(head) + 8 if riff is None else riff
    head = magic + struct.pack("<I", riff & 0xFFFFFFFF) + head
    return head + b"data" + struct.pack("<I", declared & 0xFFFFFFFF) + TONE.tobytes() + after


def ds64(size: int) -> bytes:
    return b"ds64" + struct.pack("<IQQQI", 28, size, size, 0, 0)


PLACEHOLDERS = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0x7FFFFFFF - 36, 0x80000024, 0xFFFFFFFF - 36,
                0xFFFFFFDB, 0xFFFFFF80, 0x7FFFFF00)  # fmt: skip
STREAMS = {
    **{f"{size:x}, riff {riff}": wav_bytes(size, riff) for size in PLACEHOLDERS for riff in (None, 0, 0xFFFFFFFF)},
    **{f"{size:x} behind a list": wav_bytes(size, before=LIST) for size in PLACEHOLDERS},
    **{f"off by {off}": wav_bytes(N + off) for off in (1, 2, 36, 44, 64, -1, -2, -44, -1000)},
    **{f"off by {off}, riff right": wav_bytes(N + off, N + 36) for off in (100, 5000, -5000)},
    "extensible": wav_bytes(0xFFFFFFFF, fmt=EXTENSIBLE),
    "odd list": wav_bytes(N, before=b"LIST" + struct.pack("<I", 5) + b"INFOx\0"),
    "rf64": wav_bytes(0xFFFFFFFF, 0xFFFFFFFF, before=ds64(N), magic=b"RF64"),
    "text behind": wav_bytes(N, after=b"recorded by hand\n" * 9),
    "tag behind": wav_bytes(N, after=b"TAG" + bytes(range(125))),
    "zeros behind": wav_bytes(N, after=bytes(512)),
    "list behind": wav_bytes(N, after=LIST),
}


@pytest.mark.parametrize("name", STREAMS)
def test_all_the_sound_of_a_stream_is_read_and_no_more(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(STREAMS[name])
    samples, rate = read_audio(tmp_path / "a.wav")
    assert rate == RATE and abs(len(samples) - len(TONE)) <= (name == "off by -1")
    assert np.array_equal(samples[:, 0], TONE[: len(samples)] / np.float32(32768))


@pytest.mark.parametrize("declared", [N + 5000, 2 * N])
def test_a_wav_file_cut_off_is_refused(tmp_path, declared):
    (tmp_path / "a.wav").write_bytes(wav_bytes(declared))
    with pytest.raises(UserError, match=f"truncated, expected {declared:,} bytes, got {N:,}"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("ending", ["aiff", "flac", "mp3"])
def test_other_sound_files_cut_off_are_refused(tmp_path, ending):
    import soundfile

    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.tile(TONE, 6) / 32768, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.\w+: (truncated, expected|not a sound file)"):
        read_audio(path)


def test_flac_and_mp3_of_unknown_length(tmp_path):
    import soundfile

    samples = TONE / 32768
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    stream = bytearray((tmp_path / "a.flac").read_bytes())
    stream[21] &= 0xF0
    stream[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(stream)
    assert np.array_equal(read_audio(tmp_path / "b.flac")[0], read_audio(tmp_path / "a.flac")[0])
    pytest.importorskip("av")
    soundfile.write(tmp_path / "a.mp3", np.tile(samples, 6), RATE)
    stream = (tmp_path / "a.mp3").read_bytes()
    assert b"Xing" in stream[:200] and len(read_audio(tmp_path / "a.mp3")[0]) == 6 * len(TONE)
    (tmp_path / "b.mp3").write_bytes(stream.replace(b"Xing", b"XXXX"))
    assert abs(len(read_audio(tmp_path / "b.mp3")[0]) - 6 * len(TONE)) < 4000


def test_a_long_stream_is_not_read_to_its_end(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.tile(TONE / 32768, 60))
    assert len(read_audio(path, max_seconds=2)[0]) == 3 * RATE
    path.write_bytes(path.read_bytes()[:40] + b"\xff\xff\xff\xff" + path.read_bytes()[44:])
    assert len(read_audio(path, max_seconds=2)[0]) == 3 * RATE


def test_channels_that_cancel_out_are_heard(tmp_path, samples, capsys):
    frontend = build_frontend("audio", {"sample_rate": RATE})
    reference = frontend.load(item(write_wav(tmp_path / "mono.wav", samples)))
    for name, right in {"opposite": -samples, "nearly": -0.9 * samples}.items():
        found = frontend.load(item(write_wav(tmp_path / f"{name}.wav", np.stack([samples, right], 1))))
        assert np.abs(found - reference).max() < 0.1
        assert f"{name}.wav: its channels cancel each other out; channel 1" in " ".join(capsys.readouterr().err.split())
    one_sided = write_wav(tmp_path / "left.wav", np.stack([samples, 0 * samples], 1))
    assert np.abs(frontend.load(item(one_sided)) - reference).mean() < 0.1
    assert capsys.readouterr().err == ""


def test_parts_of_files_as_in_fairseqs_manifests(tmp_path, samples):
    frontend = build_frontend("audio", {"sample_rate": RATE})
    whole = write_wav(tmp_path / "talk.wav", np.tile(samples, 200))  # longer than audio.max_seconds
    alone = write_wav(tmp_path / "part.wav", samples)
    reference = frontend.load(item(alone))
    start = 3 * len(samples)
    assert np.array_equal(frontend.load(item(Path(f"{whole}:{start}:{len(samples)}"))), reference)
    raw = build_frontend("audio", {"sample_rate": RATE, "normalize": "none"}).load(item(alone))
    np.save(tmp_path / "part.npy", raw.astype(np.float32))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("part.wav", "part.npy"):
            archive.write(tmp_path / name, name)
    content = (tmp_path / "all.zip").read_bytes()
    for name in ("part.wav", "part.npy"):
        bytes_ = (tmp_path / name).read_bytes()
        found = frontend.load(item(Path(f"{tmp_path}/all.zip:{content.index(bytes_)}:{len(bytes_)}")))
        assert np.abs(found - reference).max() <= (0.02 if name == "part.npy" else 0)
    odd = alone.rename(tmp_path / "talk.wav:0:9")
    assert np.array_equal(frontend.load(item(odd)), reference), "a file with such a name is taken whole"
    np.save(tmp_path / "small.npy", np.zeros((9, 3)))
    np.save(tmp_path / "code.npy", np.array([print]), allow_pickle=True)
    for name, reason in {
        f"{whole}:{10**9}:5": "begins after the end",
        f"{tmp_path}/all.zip:10:{10**9}": "has no 1,000,000,000 bytes",
        f"{tmp_path}/no.zip:1:2": "no such file",
        f"{tmp_path}/small.npy": r"frames x audio\.mel_bins=80 features, got 9 x 3",
        f"{tmp_path}/code.npy": "cannot be read",
    }.items():
        with pytest.raises(UserError, match=reason):
            load(frontend, item(Path(name)))


def test_pipes_and_devices_are_refused(tmp_path):
    frontends = [build_frontend(modality, {}) for modality in ("audio", "video", "image")]
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "frames").mkdir()
    os.mkfifo(tmp_path / "frames" / "1.png")
    for frontend in frontends:
        for name in ("pipe.wav", "zero.wav"):
            with pytest.raises(UserError, match="must be a regular file, got a pipe, socket or device"):
                frontend.load(item(tmp_path / name))
    with pytest.raises(UserError, match=r"1\.png: must be a regular file"):
        frontends[1].load(item(tmp_path / "frames"))
