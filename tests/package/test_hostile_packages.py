"""Files that a stranger has made or that are damaged: one line each, nothing written, nothing large in memory."""

from __future__ import annotations

import hashlib
import json
import resource
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import call

import s2s_plugin
from s2s_plugin.cli import main
from s2s_plugin.errors import UserError
from s2s_plugin.package.archive import MANIFEST, REQUIRED, WEIGHTS

Members = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def good(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.s2s"
    call(f"s2s export runs/nmt/default --to {path}", cwd=small_model)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path: Path, contents: Members, compression: int = zipfile.ZIP_STORED) -> None:
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=compression)


def listed(contents: dict[str, bytes], **about: object) -> Members:
    """The members, with a s2s.json that lists them as they are, and says ``about``."""
    said = json.loads(contents[MANIFEST]) | about
    files = {name: content for name, content in contents.items() if name != MANIFEST}
    said["files"] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    return [(MANIFEST, json.dumps(said).encode()), *files.items()]


def weights(contents: dict[str, bytes], change: Callable[[dict], None], tail: bytes | None = None) -> Members:
    """The members with another header of the weights, or other numbers."""
    content = contents[WEIGHTS]
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    changed = struct.pack("<Q", len(text)) + text + (content[8 + size :] if tail is None else tail)
    return listed(contents | {WEIGHTS: changed})


def hostile(good: Path) -> Iterator[tuple[str, Members]]:
    """Variants of a good file."""
    own = members(good)
    config, checkpoint = own["config.yaml"].decode(), json.loads(own["checkpoint.json"])
    first = min(json.loads(own[WEIGHTS][8 : 8 + struct.unpack("<Q", own[WEIGHTS][:8])[0]]).keys() - {"__metadata__"})
    yield "nothing", []
    for name in REQUIRED:
        yield f"without {name}", [(key, value) for key, value in own.items() if key != name]
    for name in (
        "../evil",
        "/evil",
        "data/../../evil",
        "data\\evil",
        "data/.hidden",
        "other/evil",
        "data/a/b",
        "c:evil",
    ):
        yield f"a member {name}", listed(own | {name: b"x"})
    yield "a member twice", [*own.items(), ("config.yaml", b"app: nmt")]
    yield "not listed", [*own.items(), ("data/extra", b"x")]
    yield "too many members", listed(own | {f"data/{number}": b"" for number in range(600)})
    yield "another digest", [(name, value + b" " if name == "README.md" else value) for name, value in own.items()]
    yield (
        "same size, another digest",
        [(name, value[:-1] + b"!" if name == "config.yaml" else value) for name, value in own.items()],
    )
    yield "a newer major version", listed(own, format="2.0")
    yield "no version", listed(own, format="one")
    yield "an unknown key", listed(own, run="rm -rf")
    yield "a manifest that is no JSON", [(MANIFEST, b"{"), *list(own.items())[1:]]
    yield "a deep manifest", [(MANIFEST, b"[" * 100_000), *list(own.items())[1:]]
    yield (
        "sizes that are no numbers",
        [(MANIFEST, own[MANIFEST].replace(b'"size": ', b'"size": "x", "a": ')), *list(own.items())[1:]],
    )
    yield "a pickle of weights", listed(own | {WEIGHTS: b"\x80\x04cos\nsystem\n(S'true'\ntR."})
    yield "weights cut short", listed(own | {WEIGHTS: own[WEIGHTS][:-100]})
    yield "a huge header", listed(own | {WEIGHTS: struct.pack("<Q", 2**62) + own[WEIGHTS][8:]})
    yield "a tensor of another shape", weights(own, lambda header: header[first].update(shape=[7, 1]))
    yield "a huge tensor", weights(own, lambda header: header[first].update(shape=[2**40, 2**20]))
    yield "tensors that overlap", weights(own, lambda header: header[first].update(data_offsets=[0, 4]))
    yield "a tensor too few", weights(own, lambda header: header.pop(first))
    yield "another type", weights(own, lambda header: header[first].update(dtype="I8"))
    yield "ties to nothing", weights(own, lambda header: header.update(__metadata__={"tied": '{"x": "y"}'}))
    yield "ties that are a list", weights(own, lambda header: header.update(__metadata__={"tied": "[1]"}))
    evil = {**checkpoint, "task": {"_name": "multilingual_translation", "left_pad_source": "print(1)"}}
    yield "a task of fairseq's", listed(own | {"checkpoint.json": json.dumps(evil).encode()})
    large = {**checkpoint, "model": {**checkpoint["model"], "encoder_hidden_size": 2**40}}
    yield "a model too large", listed(own | {"checkpoint.json": json.dumps(large).encode()})
    yield (
        "layers without end",
        listed(
            own
            | {
                "checkpoint.json": json.dumps(
                    {**checkpoint, "model": {**checkpoint["model"], "decoder_layers": 10**9}}
                ).encode()
            }
        ),
    )
    yield "a config that interpolates", listed(own | {"config.yaml": b"app: ${oc.env:HOME}\n"})
    yield "a config that is no text", listed(own | {"config.yaml": b"\xff\xfe"})
    yield (
        "a config of another kind",
        listed(own | {"config.yaml": config.replace("generation:", "generator:").encode()}),
    )
    yield "a codec of paths", listed(own | {"data/codec.json": own["data/codec.json"].replace(b"spm", b"../../spm")})
    yield "a codec of another shape", listed(own | {"data/codec.json": b'{"en": 3}'})
    yield "no dictionary", listed({name: value for name, value in own.items() if name != "data/dict.en.txt"})
    yield "a dictionary too short", listed(own | {"data/dict.en.txt": b"a 1\n"})
    yield "no SentencePiece model", listed(own | {"data/spm.model": b"evil"})


def test_hostile_files(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert s2s_plugin.load(good).translate("a b")
    problems, count = {}, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, contents in hostile(good):
        path = tmp_path / "mine.s2s"
        write(path, contents)
        count += 1
        try:
            s2s_plugin.load(path).translate("a b")
            problems[name] = "accepted"
        except UserError as error:
            message = str(error)
            if "\n" in message or len(message) > 500 or not message.isprintable():
                problems[name] = f"message {message!r}"
        except BaseException as error:
            problems[name] = f"{type(error).__name__}: {error}"[:300]
    assert not problems
    assert count >= 45 and not list(folder.iterdir())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB
    assert main(["verify", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bombs(good: Path, tmp_path: Path):
    """Sizes that grow, and archives of other kinds."""
    own = members(good)
    bomb = tmp_path / "mine.s2s"
    write(bomb, listed(own | {"data/dict.en.txt": bytes(2**28)}), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="must not unpack to"):
        s2s_plugin.load(bomb)
    write(bomb, list(own.items()), zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="encrypted or compressed in another way"):
        s2s_plugin.load(bomb)
    link = zipfile.ZipInfo("data/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is no regular file"):
        s2s_plugin.load(bomb)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_files_cut_short(good: Path, tmp_path: Path, share: float):
    path = tmp_path / "mine.s2s"
    content = good.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="not a packaged model, or cut short"):
        s2s_plugin.load(path)


def test_a_flipped_bit_is_noticed(good: Path, tmp_path: Path):
    path, content = tmp_path / "mine.s2s", bytearray(good.read_bytes())
    for place in range(100, len(content), len(content) // 40):
        content[place] ^= 4
        path.write_bytes(content)
        content[place] ^= 4
        try:
            assert s2s_plugin.load(path).translate("a b") == s2s_plugin.load(good).translate("a b")  # of a date, say
        except UserError as error:
            assert str(path) in str(error)
