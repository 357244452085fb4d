"""Samples of sound files, also of parts of them as in fairseq's manifests, whatever their headers say of the length."""

from __future__ import annotations

import importlib.util
import io
import re
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from s2s_plugin.datasets.frontends import check_file, open_container
from s2s_plugin.datasets.manifest import split_slice
from s2s_plugin.errors import UserError

# libsndfile reads a truncated wav, aiff or au file without an error, and reports it in its log only.
DATA_SIZE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
RIFF_IS_RIGHT = re.compile(r"^RIFF : \d+$", re.MULTILINE)
MIN_PLACEHOLDER = 0x7FFF0000  # 2 GiB and 4 GiB, less a header: where streams leave the length open
MAX_EXCESS = 128  # bytes that a length may be too long; some count the header
BEHIND_DATA = re.compile(rb"(LIST|JUNK|PAD |bext|cue |smpl|iXML|id3 |ID3|PEAK|afsp|_PMX|plst|fact|TAG|APETAGEX|\0*\Z)")
SCAN = 2**16  # bytes in which to look for what a header says
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
    if file.suffix == ".zip" and part is not None:
        source: BinaryIO = io.BytesIO(_read_part(file, *part))
        first, count = 0, None
    else:
        source, (first, count) = file.open("rb"), part or (0, None)
    has_av = importlib.util.find_spec("av") is not None
    with source:
        try:
            with soundfile.SoundFile(_with_right_length(source)) as sound:
                rate, place = sound.samplerate, source.tell()
                counted = sound.format != "MP3" or _counts_samples(source)
                if not counted and has_av and _count_samples(source) > sound.frames + MP3_DELAY:
                    return _read_track(path, source, max_seconds, first, count)
                source.seek(place)
                if first >= sound.frames > 0:
                    raise UserError(f"{path}: begins after the end, at {sound.frames:,} samples; write it again")
                sound.seek(first)
                expected = min(sound.frames - first, _limit(max_seconds, rate, count))
                samples, log = sound.read(expected, dtype="float32", always_2d=True), sound.extra_info
        except soundfile.LibsndfileError as error:
            if has_av:
                return _read_track(path, source, max_seconds, first, count)
            problem = f"{path}: not a sound file ({str(error.error_string).rstrip('.')})"
            remedy = "convert it to wav or flac, or for the audio of videos pip install 's2s-plugin[video]'"
            raise UserError(f"{problem}; {remedy}") from None
    actual, unit, tolerance = len(samples), "samples", MP3_DELAY if sound.format == "MP3" else 0
    if sizes := DATA_SIZE.search(log):
        expected, actual, unit, tolerance = int(sizes[1]), int(sizes[2]), "bytes", MAX_EXCESS
        counted = expected < MIN_PLACEHOLDER and not RIFF_IS_RIGHT.search(log)
    if counted and actual + tolerance < expected:
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


def _with_right_length(source: BinaryIO) -> BinaryIO:
    """Return a copy, to be read to its end, of a wav file that has more sound than its header says; or ``source``."""
    head, place = source.read(SCAN), 12
    while head[:4] == b"RIFF" and head[place : place + 4] not in (b"data", b""):
        length = int.from_bytes(head[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    if head[:4] == b"RIFF" and head[place : place + 4] == b"data":
        length = int.from_bytes(head[place + 4 : place + 8], "little")
        source.seek(place + 8 + length)
        tail = source.read(SCAN)
        padded = tail[length % 2 :]  # a pad byte follows an odd number, or does not
        if not any(BEHIND_DATA.match(end) or end.isascii() for end in (tail, padded)):
            source.seek(0)
            content = source.read()
            return io.BytesIO(content[: place + 4] + b"\xff" * 4 + content[place + 8 :])
    source.seek(0)
    return source


def _counts_samples(mp3: BinaryIO) -> bool:
    """Return whether an mp3 file says how many samples it has."""
    mp3.seek(0)
    head = mp3.read(SCAN)
    return b"Xing" in head or b"Info" in head


def _count_samples(source: BinaryIO) -> int:
    """Return the number of samples in all packets, without decoding them."""
    source.seek(0)
    with open_container(source) as container:
        stream = container.streams.audio[0]
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        return round(ticks * (stream.time_base or 0) * stream.rate)


def _read_track(
    path: Path, source: BinaryIO, max_seconds: float, first: int, count: int | None
) -> tuple[np.ndarray, int]:
    import av

    source.seek(0)
    try:
        with open_container(source) as container:
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
