"""Wav files whose header is wrong about the length of the data: streams, interrupted recordings, odd chunks.

sox, arecord, ffmpeg and others that write to a pipe leave a placeholder where the length belongs.
"""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO, NamedTuple

BYTE_ORDER = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">"}
CHUNKS = tuple(
    name.ljust(4)
    for name in b"data fmt fact LIST JUNK PAD bext cue smpl iXML id3 ID3 PEAK afsp _PMX plst inst note labl".split()
)
TAGS = (b"TAG", b"APETAGEX", b"ID3", b"RIFF")  # what else follows the data
MIN_PLACEHOLDER = 0x7FFF0000  # 2 GiB and 4 GiB, less a header or a block
MAX_EXCESS = 64  # bytes that a length may be too long, in addition to one that counts the header
MAX_TAIL = 2**16  # bytes in which to look for chunks behind data of unknown length


CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")


class Header(NamedTuple):
    """What comes before the data, and what the header says about their length."""

    magic: bytes
    riff_size: int
    essential: bytes  # the chunks that say how to read the data
    block: int  # bytes of a sample of all channels
    rate: int  # samples per second
    start: int  # of the data
    declared: int  # bytes of data
    padded: bool  # chunks of odd length are padded, as they must be


def repair(file: BinaryIO, max_seconds: float, end: int = 0) -> BinaryIO | None:
    """Return a wav file in memory with the right length, or None if ``file`` needs no repair or is no wav file.

    It holds sound for one second more than ``max_seconds`` at most, or ``end`` samples if that is more.
    """
    size = file.seek(0, io.SEEK_END)
    header = _read_header(file, size)
    if header is None:
        return None
    length = _data_length(file, header, size)
    length -= length % max(header.block, 1)
    if length == header.declared and header.padded:
        return None
    if header.block and header.rate:
        length = min(length, max(end, int((max_seconds + 1) * header.rate)) * header.block)
    file.seek(header.start)
    magic = b"RIFX" if header.magic == b"RIFX" else b"RIFF"
    order = BYTE_ORDER[magic]
    data = file.read(length)
    body = b"WAVE" + header.essential + b"data" + struct.pack(f"{order}I", len(data)) + data
    return io.BytesIO(magic + struct.pack(f"{order}I", len(body)) + body)


def _read_header(file: BinaryIO, size: int) -> Header | None:
    magic, kind = _read(file, 0, 4), _read(file, 8, 4)
    if magic not in BYTE_ORDER or kind != b"WAVE":
        return None
    order = BYTE_ORDER[magic]
    riff_size = struct.unpack(f"{order}I", _read(file, 4, 4))[0]
    position, padded, essential, long_size, (rate, block) = 12, True, b"", 0, (0, 0)
    while position + 8 <= size:
        if position > 12 and _read(file, position - 1, 4) in CHUNKS:
            position, padded = position - 1, False
        name, length = struct.unpack(f"{order}4sI", _read(file, position, 8))
        if name == b"data":
            declared = long_size if length == 0xFFFFFFFF and magic in (b"RF64", b"BW64") else length
            return Header(magic, riff_size, essential, block, rate, position + 8, declared, padded) if rate else None
        if name in (b"fmt ", b"fact", b"ds64"):
            content = _read(file, position + 8, min(length, MAX_TAIL))
            if name == b"fmt " and len(content) >= 16:
                rate, _, block = struct.unpack(f"{order}IIH", content[4:14])
            if name == b"ds64" and len(content) >= 16:
                long_size = struct.unpack(f"{order}Q", content[8:16])[0]
            else:
                essential += struct.pack(f"{order}4sI", name, len(content)) + content + bytes(len(content) % 2)
        position += 8 + length + length % 2
    return None


def _data_length(file: BinaryIO, header: Header, size: int) -> int:
    """Return how many bytes of data there are; the declared number if the file is truncated."""
    start, declared, available = header.start, header.declared, size - header.start
    if declared >= MIN_PLACEHOLDER and declared > available:
        return available - _length_of_tail(file, start, size)
    if declared > available:
        excess, whole = declared - available, header.riff_size + 8 == size
        return available if whole or excess <= MAX_EXCESS or excess in (start, start - 8) else declared
    ends = [start + declared, start + declared + declared % 2]  # a pad byte follows an odd number, or does not
    if declared % max(header.block, 1) == 0 and any(_is_tail(file, end, size) for end in ends):
        return declared
    return available - _length_of_tail(file, start, size)


def _is_tail(file: BinaryIO, position: int, size: int) -> bool:
    """Return whether what comes from here on is chunks, tags, zeros, text or nothing."""
    begin = _read(file, position, MAX_TAIL)
    if begin[:4] in CHUNKS or begin.startswith(TAGS) or (not begin.strip(b"\0") and len(begin) < MAX_TAIL):
        return True
    return _chunks_end_at(file, position, size) or (len(begin) > 8 and begin.isascii() and not CONTROLS.search(begin))


def _chunks_end_at(file: BinaryIO, position: int, size: int) -> bool:
    while position + 8 <= size:
        name, length = struct.unpack("<4sI", _read(file, position, 8))
        if not all(32 <= byte < 127 for byte in name):
            return False
        position += 8 + length + length % 2
    return size <= position <= size + 1


def _length_of_tail(file: BinaryIO, start: int, size: int) -> int:
    """Return how many bytes of chunks end the file."""
    first = max(start, size - MAX_TAIL)
    end = _read(file, first, MAX_TAIL)
    for name in CHUNKS[3:]:
        place = end.rfind(name)
        while place >= 0:
            if _chunks_end_at(file, first + place, size):
                return len(end) - place
            place = end.rfind(name, 0, place)
    return 0


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)
