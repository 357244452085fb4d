"""Damaged files of prepared data and runs: noticed in one line before anything is produced from them."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call
from mistakes import mistake

Damage = Callable[[bytes], bytes]


def flip(content: bytes) -> bytes:
    """Flip one bit, of a letter or digit if there is one, so that most text stays readable."""
    places = [place for place, byte in enumerate(content) if 48 <= byte < 123] or [len(content) // 2]
    place = random.Random(len(content)).choice(places)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def zero(content: bytes) -> bytes:
    """Overwrite up to 40 KB in the middle by zeros."""
    size = min(40_000, max(1, len(content) // 2))
    start = (len(content) - size) // 2
    return content[:start] + bytes(size) + content[start + size :]


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def swap(content: bytes) -> bytes:
    first, second, *rest = content.split(b"\n")
    return b"\n".join([second, first, *rest])


PREPARED = {
    "dict.en.txt": (flip, zero, cut, swap),
    "dict.de.txt": (flip, zero, cut, swap),
    "codec.json": (flip, zero, cut),
    "spm.model": (flip, zero, cut),
    "prepared.json": (flip, zero, cut),
    "digests.json": (flip, zero, cut),
    "text/test.en": (flip, zero, cut, swap),
    "text/test.de": (flip, zero, cut, swap),
    "test.en-de.en.bin": (flip, zero, cut),
    "test.en-de.en.idx": (flip, zero, cut),
    "test.en-de.de.bin": (flip, zero, cut),
}
CASES = [(name, damage) for name, damages in PREPARED.items() for damage in damages]


@pytest.fixture
def run(small_model: Path, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    folder = tmp_path / "copy"
    shutil.copytree(small_model, folder)
    return folder


def prepared(folder: Path) -> Path:
    return next((folder / "data-bin").glob("files.*"))


def own_data(folder: Path) -> Path:
    """What the run keeps of the prepared data, to decode with."""
    return folder / "runs/nmt/default/data"


def damage_file(path: Path, damage: Damage) -> bytes:
    before = path.read_bytes()
    assert damage(before) != before
    path.write_bytes(damage(before))
    return before


@pytest.mark.parametrize("cases", [CASES[::8], pytest.param(CASES, marks=pytest.mark.slow)], ids=["few", "all"])
def test_prepared_data(run: Path, cases: list[tuple[str, Damage]]):
    """Before decoding: of each kind of file, each kind of damage."""
    info = run / "runs/nmt/default/generated.json"
    info.unlink()
    scores = (run / "runs/nmt/default/scores.json").read_bytes()
    for name, damage in cases:
        path = own_data(run) / name
        before = damage_file(path, damage)
        mistake(run, "s2s generate app=nmt", path.name)
        path.write_bytes(before)
        assert not info.exists() and (run / "runs/nmt/default/scores.json").read_bytes() == scores


def test_missing_codec(run: Path):
    (own_data(run) / "codec.json").unlink()
    (run / "runs/nmt/default/generated.json").unlink()
    for stage in ("generate", "translate"):
        mistake(run, f"s2s {stage} app=nmt", "codec.json", "missing", "restore a copy")


@pytest.mark.parametrize(
    "name",
    [
        "train.en-de.en.bin",
        pytest.param("valid.en-de.de.bin", marks=pytest.mark.slow),
        pytest.param("train.en-de.de.idx", marks=pytest.mark.slow),
        "dict.de.txt",
    ],
)
def test_training_goes_on_from_whole_data_only(run: Path, small_settings: str, name: str):
    """Also when it resumes; the prepare stage names the file before anything else begins."""
    settings = run / "runs/nmt/default/settings.json"
    before = settings.read_bytes()
    damage_file(prepared(run) / name, flip)
    more = f"{small_settings} optimization.max_update=160"
    mistake(run, f"s2s train {more}", name, "damaged")
    mistake(run, f"s2s prepare {more}", name, "damaged")
    recorded, now = (json.loads(content)["dictionaries"] for content in (before, settings.read_bytes()))
    assert recorded == now


def test_resuming_keeps_the_fingerprint_of_the_dictionaries(run: Path, small_settings: str):
    """Data of an older version has no digests; what the run was trained with is known all the same."""
    (prepared(run) / "digests.json").unlink()
    damage_file(prepared(run) / "dict.de.txt", swap)
    before = (run / "runs/nmt/default/settings.json").read_bytes()
    mistake(run, f"s2s train {small_settings} optimization.max_update=160", "dict.de.txt", "trained with")
    assert (run / "runs/nmt/default/settings.json").read_bytes() == before


RUN_FILES = {
    "config.yaml": ("generate", "translate", "report"),
    "settings.json": ("generate",),
    "generated.json": ("generate", "score"),
    "outputs.jsonl": ("score", "report", "generate"),
    "attention.jsonl": ("report", "generate"),
    "scores.json": ("report",),
}


@pytest.mark.parametrize("name", RUN_FILES)
def test_run_files(run: Path, name: str):
    """Each damage and each stage once or more: none of them depends on which damage it is."""
    path, generated = run / "runs/nmt/default" / name, run / "runs/nmt/default/generated.json"
    for damage, stage in zip((flip, zero, cut), itertools.cycle(RUN_FILES[name])):
        before = damage_file(path, damage)
        kept = generated.read_bytes()
        if name == "settings.json":
            generated.unlink()
        mistake(run, f"s2s {stage} app=nmt", name)
        generated.write_bytes(kept)
        path.write_bytes(before)


def test_an_edited_file_is_accepted_without_its_checksum(run: Path):
    """As the messages say."""
    config = run / "runs/nmt/default/config.yaml"
    lines = config.read_text(encoding="utf-8").splitlines()
    edited = "\n".join(lines).replace("examples: 5", "examples: 4") + "\n"
    assert lines[0].startswith("# crc32: ") and edited.splitlines() != lines
    config.write_text(edited, encoding="utf-8")
    mistake(run, "s2s report app=nmt", "config.yaml", "first line")
    config.write_text("".join(f"{line}\n" for line in edited.splitlines()[1:]), encoding="utf-8")
    call("s2s report app=nmt", cwd=run)


def test_a_damaged_run_does_not_hide_the_others(run: Path):
    shutil.copytree(run / "runs/nmt/default", run / "runs/nmt/other")
    damage_file(run / "runs/nmt/other/scores.json", flip)
    listed = call("s2s list runs", cwd=run).stdout.splitlines()
    assert "damaged" in next(line for line in listed if "other" in line)
    assert "complete" in next(line for line in listed if "default" in line)
