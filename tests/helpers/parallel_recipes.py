"""What the tests of the recipes for parallel text share."""

from __future__ import annotations

from pathlib import Path

from recipes import assert_no_leak, read_meta

from s2s_plugin.corpora.splits import SPLITS


def read(out: Path, name: str) -> list[str]:
    return (out / name).read_text(encoding="utf-8").split("\n")[:-1]


def assert_languages_do_not_leak(out: Path, languages: tuple[str, str]) -> None:
    for lang in languages:
        assert_no_leak({" ".join(line.casefold().split()) for line in read(out, f"{split}.{lang}")} for split in SPLITS)


def assert_manifest(out: Path, name: str) -> dict:
    files = read_meta(name, out)["files"]
    for file, entry in files.items():
        assert entry["lines"] == len(read(out, file))
    return files
