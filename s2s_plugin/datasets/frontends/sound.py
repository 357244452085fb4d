"""Samples of sound files, also of parts of them as in fairseq's manifests, whatever their headers say of the length."""

from __future__ import annotations

import importlib.util
import io
import re
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from s2s_plugin.datasets.frontends import check_file, wav
from s2s_plugin.datasets.manifest import split_slice
from s2s_plugin.errors import UserError

# libsndfile reads a truncated wav, aiff or au file without an error, and reports it in its log only.
DATA_SIZE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
MAX_SECONDS = 3600.0
MP3_DELAY = 4000  # samples, more than decoders remove at both ends
NPY = b"\x93NUMPY"


def read_features(path: Path) -> np.ndarray | None:
    """Return the features in ``file.npy`` or in a part of a zip file, ``file.zip:offset:bytes``; None if it has sound.

    Raises:
        UserError: no such file, or no such part.
    """
    file, part = split_slice(path)
    if file.suffix == ".npy":
        check_file(file)
        return np.load(file, allow_pickle=False)
    if file.suffix == ".zip" and part is not None:
        content = _read_part(file, *part)
        return np.load(io.BytesIO(content), allow_pickle=False) if content.startswith(NPY) else None
    return None


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int]:
    """Read samples x channels, float32 between -1 and 1, and the number of samples per second.

    libsndfile reads wav, flac, ogg and mp3; PyAV, if installed, the audio track of other containers.

    Args:
        path: a file, or a part of one: ``file.wav:first:samples``, ``file.zip:offset:bytes``.
        max_seconds: if there is more, one second more is read.

    Raises:
        UserError: no such file, or not a sound file.
    """
    import soundfile

    file, part = split_slice(path)
    check_file(file)
    source: Path | BinaryIO = file
    if file.suffix == ".zip" and part is not None:
        source, part = io.BytesIO(_read_part(file, *part)), None
    first, count = part or (0, None)
    has_av = importlib.util.find_spec("av") is not None
    try:
        repaired = _repair(source, max_seconds, first + (count or 0))
        with soundfile.SoundFile(source if repaired is None else repaired) as sound:
            if sound.format == "MP3" and has_av and _count_samples(source) > sound.frames + MP3_DELAY:
                return _read_track(path, source, max_seconds, first, count)
            if first >= sound.frames > 0:
                raise UserError(f"{path}: begins after the end, at {sound.frames:,} samples; write the manifest again")
            sound.seek(first)
            length = min(sound.frames - first, _limit(max_seconds, sound.samplerate, count))
            samples = sound.read(length, dtype="float32", always_2d=True)
            rate, sizes = sound.samplerate, DATA_SIZE.search(sound.extra_info)
    except soundfile.LibsndfileError as error:
        if has_av:
            return _read_track(path, source, max_seconds, first, count)
        problem = f"{path}: not a sound file ({str(error.error_string).rstrip('.')})"
        remedy = "convert it to wav or flac, or for the audio of videos pip install 's2s-plugin[video]'"
        raise UserError(f"{problem}; {remedy}") from None
    expected, actual = map(int, sizes.groups()) if sizes else (length, len(samples))
    if wav.MIN_PLACEHOLDER > expected > actual and repaired is None and sound.format != "MP3":
        unit = "bytes" if sizes else "samples"
        raise UserError(f"{path}: truncated, expected {expected:,} {unit}, got {actual:,}; fetch it again")
    return samples, rate


def _limit(max_seconds: float, rate: int, count: int | None) -> int:
    limit = int((max_seconds + 1) * rate)
    return limit if count is None else min(limit, count)


def _read_part(path: Path, offset: int, length: int) -> bytes:
    check_file(path)
    size = path.stat().st_size
    if not 0 < length <= size - offset:
        raise UserError(f"{path}: has no {length:,} bytes at {offset:,}; write the manifest again")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _repair(source: Path | BinaryIO, max_seconds: float, end: int) -> BinaryIO | None:
    """Return a copy whose header has the right length, of a wav file, or an upper bound, of a flac file without one."""
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        head = file.read(26)
        if head[:4] != b"fLaC" or len(head) < 26:
            repaired = wav.repair(file, max_seconds, end)
            file.seek(0)
            return repaired
        word = int.from_bytes(head[18:26], "big")  # rate, channels, bits, and in 36 bits the number of samples
        if word % 2**36:
            file.seek(0)
            return None
        limit = max(end, int((max_seconds + 1) * (word >> 44)))
        return io.BytesIO(head[:18] + (word + min(limit, 2**36 - 1)).to_bytes(8, "big") + file.read())


def _open(source: Path | BinaryIO):
    import av

    if not isinstance(source, Path):
        source.seek(0)
    return av.open(str(source.absolute()) if isinstance(source, Path) else source)  # a colon would be a protocol


def _count_samples(source: Path | BinaryIO) -> int:
    """Return the number of samples in all packets, without decoding them."""
    with _open(source) as container:
        stream = container.streams.audio[0]
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        return round(ticks * stream.time_base * stream.rate)


def _read_track(
    path: Path, source: Path | BinaryIO, max_seconds: float, first: int, count: int | None
) -> tuple[np.ndarray, int]:
    import av

    try:
        with _open(source) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: must have an audio track")
            resampler = av.AudioResampler(format="flt")
            blocks, rate, length = [], container.streams.audio[0].rate, 0
            end = first + _limit(max_seconds, rate, count)
            for frame in chain(container.decode(audio=0), [None]):  # None: the rest
                for part in resampler.resample(frame):
                    blocks.append(part.to_ndarray().reshape(-1, part.layout.nb_channels))
                    length += len(blocks[-1])
                if length >= end:
                    break
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: not a sound file ({reason}); convert it to wav or flac") from None
    if length <= first:
        raise UserError(f"{path}: the audio track is empty; fetch it again")
    return np.concatenate(blocks)[first:end], rate
