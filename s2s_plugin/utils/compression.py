"""Read files that may be compressed: gzip, bzip2, xz or Zstandard, known by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from s2s_plugin.errors import UserError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")


def plain_path(path: str | Path) -> Path:
    """Return the name that a file has without the ending of its compression."""
    path = Path(path)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressed.

    Raises:
        UserError: the file cannot be read, or is damaged, which may turn out while it is read.
    """
    try:
        with path.open("rb") as raw:
            decompress = next((MAGIC[magic] for magic in MAGIC if raw.peek(len(magic)).startswith(magic)), None)
            if decompress is None and plain_path(path) != path:
                raise UserError(f"{path}: not compressed as its name says; get it again, or rename it")
            if decompress is None:
                yield raw
            else:
                with decompress(raw) as file:
                    yield file
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error):
        raise UserError(f"{path}: the compressed file is cut short or damaged; get it again") from None
    except OSError as error:
        if error.errno is None:  # of bzip2
            raise UserError(f"{path}: the compressed file is cut short or damaged; get it again") from None
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None


class _Zstandard(io.RawIOBase):
    """The decompressed bytes of Zstandard frames; unlike the library's reader, it notices a file that is cut short."""

    def __init__(self, raw: BinaryIO):
        try:
            import zstandard
        except ImportError:
            raise UserError(f"{raw.name}: requires zstandard: pip install zstandard") from None
        self.raw, self.error = raw, zstandard.ZstdError
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
        self.frame, self.compressed, self.output = self.decompressor.decompressobj(), b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            while not self.output:
                self.compressed = self.compressed or self.raw.read(io.DEFAULT_BUFFER_SIZE)
                if self.frame.eof and self.compressed:
                    self.frame = self.decompressor.decompressobj()
                elif not self.compressed:
                    if not self.frame.eof:
                        raise EOFError
                    return 0
                self.output, self.compressed = self.frame.decompress(self.compressed), b""
                self.compressed = self.frame.unused_data if self.frame.eof else b""
        except self.error:
            raise EOFError from None
        size = min(len(buffer), len(self.output))
        buffer[:size], self.output = self.output[:size], self.output[size:]
        return size


MAGIC: dict[bytes, Callable] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda raw: io.BufferedReader(_Zstandard(raw), 2**17),
}
