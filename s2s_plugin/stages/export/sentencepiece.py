"""Read a SentencePiece model file as plain data, for code that runs without the library."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError

KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
NORMAL = 1  # the default kind of a piece
# Field numbers in sentencepiece_model.proto
PIECES, TRAINER, NORMALIZER = 1, 2, 3
TEXT, SCORE, KIND = 1, 2, 3  # of a piece
MODEL_TYPE, BYTE_FALLBACK = 3, 35  # of the trainer
NAME, CHARSMAP, ADD_PREFIX, REMOVE_SPACES = 1, 2, 3, 4  # of the normalizer
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def read_model(path: Path) -> dict[str, Any]:
    """Return what ``s2s_plugin/web/text/sentencepiece.js`` needs of a model file, which SentencePiece has accepted.

    Raises:
        UserError: the model normalizes text by rules of its own, as those of other toolkits do.
    """
    fields = list(_fields(path.read_bytes()))
    pieces = [dict(_fields(value)) for number, value in fields if number == PIECES]
    trainer, normalizer = ({}, {})
    for number, value in fields:
        if number == TRAINER:
            trainer = dict(_fields(value))
        elif number == NORMALIZER:
            normalizer = dict(_fields(value))
    if normalizer.get(CHARSMAP):
        name = normalizer.get(NAME, b"").decode("utf-8", "replace")
        raise UserError(
            f"a web page without a server does not support SentencePiece's normalization {name}; use s2s serve"
        )
    return {
        "kind": KINDS[trainer.get(MODEL_TYPE, 1)],
        "pieces": [piece[TEXT].decode() for piece in pieces],
        "scores": [struct.unpack("<f", piece.get(SCORE, bytes(4)))[0] for piece in pieces],
        "kinds": [piece.get(KIND, NORMAL) for piece in pieces],
        "prefix": bool(normalizer.get(ADD_PREFIX, True)),
        "tidy": bool(normalizer.get(REMOVE_SPACES, True)),
        "fallback": bool(trainer.get(BYTE_FALLBACK, False)),
    }


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of the fields of a message of protocol buffers."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            value: Any
            value, place = _varint(message, place)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if size is None:
                size, place = _varint(message, place)
            value, place = message[place : place + size], place + size
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
