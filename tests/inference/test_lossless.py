"""White space that matters: lossless text is read as it is, from a file, a stream and an argument."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call

PROGRAMS = [
    "    return x",
    "\tif x:",
    "a\fb  c",
    "a\rb ",
    "\ufeffx = 1",
    "\x1c",
    "'\u00ad\u200b<s> \u2581'",
    "<0x41> <unk>",
]
MODEL = "model=tiny subword.kind=char subword.size=400 dataset.max_tokens=2000 optimization.max_update=60"
RATE = "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 output_parser=none"
SHORT = "generation.max_len_a=0 generation.max_len_b=40"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run that copies lines of programs, each with a number."""
    folder = tmp_path_factory.mktemp("lossless")
    lines = [f"{program}{number}{program}" for number in range(40) for program in PROGRAMS]
    for name, chosen in (("my", lines), ("valid", lines[:8]), ("test", lines[-40:])):
        (folder / f"{name}.in").write_bytes("".join(f"{line}\n" for line in chosen).encode())
        (folder / f"{name}.out").write_bytes("".join(f"{line} #\n" for line in chosen).encode())
    files = " ".join(
        f"data.{prefix}source={name}.in data.{prefix}target={name}.out"
        for prefix, name in (("", "my"), ("valid_", "valid"), ("test_", "test"))
    )
    for stage in ("prepare", "train", "generate"):
        call(
            f"s2s {stage} app=code metrics=[s2s_exact] subword.lossless=true {MODEL} {RATE} {SHORT} {files}", cwd=folder
        )
    return folder


def rows(folder: Path) -> list[dict]:
    lines = (folder / "runs/code/default/outputs.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return list(map(json.loads, lines))


def test_no_character_is_lost_in_the_prepared_text(folder: Path):
    from s2s_plugin.text.codec import PairCodec
    from s2s_plugin.text.escape import unescape

    prepared = next((folder / "data-bin").glob("files.in-out.*"))
    for side, suffix in (("in", ""), ("out", " #")):
        texts = (prepared / f"text/test.{side}").read_text(encoding="utf-8").split("\n")[:-1]
        given = (folder / f"test.{side}").read_bytes().decode().split("\n")[:-1]
        assert [unescape(text) for text in texts] == given
        assert given[0].endswith(suffix)
    codec = PairCodec.load(prepared, "in", "out")
    for row in rows(folder):
        assert unescape(codec.decode(codec.encode(row["source"]))) == unescape(row["source"])


def test_translate_reads_what_generate_reads(folder: Path):
    expected = [row["hypothesis"] for row in rows(folder)]
    given = (folder / "test.in").read_bytes().decode()
    for end in ("\n", "\r\n"):
        answers = call("s2s translate app=code", cwd=folder, stdin=given.replace("\n", end)).stdout.split("\n")[:-1]
        assert answers == expected
