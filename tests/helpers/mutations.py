"""Mutations of real files, by hypothesis."""

from __future__ import annotations

import copy
import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from s2s_plugin.utils.io import _checksum, _json_text

MAX_INPUT = 10**7  # bytes
CANARY = "__import__('os').mkdir('/executed')"
NUMBERS = (0, 1, -1, 2, 7, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1, 10**30)
TEXTS = ("", "x", "\0", "\n", "..", "../../x", "/dev/zero", "/", "é" * 300, "<unk>", "\udc80", "\x1b[2J", CANARY)
PIECES = [  # of file formats
    *(b"\0", b"\xff" * 4, b"\n", b"\r\n", b"\t", b'"', b"\\", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"[" * 3000, b"{}"),
    *(b"null", b"NaN", b"1e999", b"-1", b"9" * 5000, b"${oc.env:HOME}", b"!!python/name:os.system", b"&a [*a]"),
    *(b"PK\x05\x06", b"cposix\nsystem\n", b"\x1f\x8b\x08", b"ustar\0", b"../", b"/etc/passwd", b"\0" * 512),
    CANARY.encode(),
]  # fmt: skip
DIGITS = b"0123456789"


@st.composite
def mutated_bytes(draw: st.DrawFn, content: bytes, other: bytes = b"") -> bytes:
    """Bytes with one to four changes: a flipped bit, a cut, a splice, zeros, another number, a piece of a format."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        size = draw(st.sampled_from((1, 2, 4, 8, 16, 100, 512, 5000, 40_000)))
        kind = draw(st.sampled_from(("bit", "cut", "drop", "repeat", "splice", "zeros", "piece", "number", "digits")))
        head, middle, tail = content[:place], content[place : place + size], content[place + size :]
        if kind == "bit":
            middle = bytes([middle[0] ^ 1 << draw(st.integers(0, 7))]) + middle[1:] if middle else b"x"
        elif kind == "cut":
            middle = tail = b""
        elif kind == "drop":
            middle = b""
        elif kind == "repeat":
            middle *= 3
        elif kind == "splice":
            start = draw(st.integers(0, len(other)))
            middle = other[start : start + size]
        elif kind == "zeros":
            middle = bytes(len(middle))
        elif kind == "piece":
            middle = draw(st.sampled_from(PIECES)) + (middle if draw(st.booleans()) else b"")
        elif kind == "number":  # a length or an offset
            width, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("little", "big")))
            number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * width)
            middle = number.to_bytes(width, order) + middle[width:]
        else:  # a number in letters, as in tar, ar and JSON
            start = next((n for n in range(place, min(len(content), place + 5000)) if content[n] in DIGITS), place)
            end = next((n for n in range(start, len(content)) if content[n] not in DIGITS), len(content))
            head, middle, tail = content[:start], str(draw(st.sampled_from(NUMBERS))).encode(), content[end:]
        content = head + middle + tail
    return content


def _value(draw: st.DrawFn, old: Any, root: Any) -> Any:
    kind = draw(st.sampled_from(("number", "text", "other", "deep", "wide", "whole", "digit")))
    if kind == "number":
        return draw(st.sampled_from((*NUMBERS, 0.5, math.nan, math.inf, -math.inf, True)))
    if kind == "text":
        return draw(st.sampled_from(TEXTS))
    if kind == "deep":
        value: Any = []
        for _ in range(draw(st.sampled_from((1, 30, 600)))):
            value = [value]
        return value
    if kind == "wide":
        return [copy.deepcopy(old)] * draw(st.sampled_from((2, 1000)))
    if kind == "digit" and isinstance(old, int | float):
        return draw(st.sampled_from((old + 1, old - 1, -old, old * 2, float(old), str(old))))
    return copy.deepcopy(root) if kind == "whole" else draw(st.sampled_from((None, [], {}, [1, "a"], {"a": 1})))


@st.composite
def mutated_tree(draw: st.DrawFn, root: Any) -> Any:
    """Plain data with one to three changes: another value, a missing, added or renamed entry."""
    root = copy.deepcopy(root)
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = None
        key, node = None, root
        while isinstance(node, dict | list) and len(node) and (parent is None or draw(st.integers(0, 3))):
            parent = node
            names = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = names[draw(st.integers(0, len(names) - 1))]
            node = node[key]
        if parent is None:
            return _value(draw, root, root)
        kind = draw(st.sampled_from(("value", "value", "delete", "add")))
        if kind == "delete":
            del parent[key]
        elif kind == "add" and isinstance(parent, dict):
            parent[draw(st.sampled_from(TEXTS))] = node
        elif kind == "add":
            parent.insert(key, node)
        else:
            parent[key] = _value(draw, node, root)
    return root


def as_json(value: Any) -> bytes:
    """JSON as ``write_json`` writes it: with the right checksum."""
    if isinstance(value, dict):
        value = {**value, "crc32": _checksum(_json_text(value))}
    return _json_text(value).encode("utf-8", "surrogatepass")


def as_json_lines(rows: Any) -> bytes:
    if not isinstance(rows, list):
        return as_json(rows)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=False).encode()


def from_json(content: bytes) -> Any:
    value = json.loads(content)
    return {key: value[key] for key in value if key != "crc32"} if isinstance(value, dict) else value


def from_json_lines(content: bytes) -> Any:
    return [json.loads(line) for line in content.splitlines()]


TREES: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    ".json": (from_json, as_json),
    ".jsonl": (from_json_lines, as_json_lines),
    ".yaml": (yaml.safe_load, as_yaml),
}


@st.composite
def mutated_zip(draw: st.DrawFn, content: bytes) -> bytes:
    """The archive with one member's bytes changed, and the checksums right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        names = source.namelist()
        changed = draw(st.sampled_from((names[0], *names)))
        for name in names:
            data = source.read(name)
            target.writestr(name, draw(mutated_bytes(data)) if name == changed else data)
    return out.getvalue()


@st.composite
def mutated_file(draw: st.DrawFn, name: str, content: bytes, other: bytes = b"") -> bytes:
    """A file with changes of its bytes, of the members of an archive, or of the values in it."""
    ending = Path(name).suffix
    if ending in TREES and draw(st.integers(0, 2)):
        read, write = TREES[ending]
        try:
            return write(draw(mutated_tree(read(content))))
        except (yaml.YAMLError, RecursionError):  # no file has such a value
            return draw(mutated_bytes(content, other))
    if ending in (".pt", ".zip") and draw(st.booleans()):
        return draw(mutated_zip(content))
    return draw(mutated_bytes(content, other))
