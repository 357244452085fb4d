"""What the outputs are written beside: items, and which of them are one."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from s2s_plugin.datasets.manifest import Item, prepared_items, write_manifest
from s2s_plugin.stages.generate.outputs import merge_same_source, read_items


def test_the_same_source_in_two_directions_is_two_items(tmp_path: Path):
    (tmp_path / "text").mkdir()
    lines = {
        "en": ["<2de> hello", "<2ko> hello", "<2de> hello", "<2de> yes"],
        "de+ko": ["hallo", "annyeong", "guten Tag", "ja"],
        "direction": ["en-de", "en-ko", "en-de", "en-de"],
    }
    for ending, texts in lines.items():
        (tmp_path / "text" / f"test.{ending}").write_text("".join(f"{text}\n" for text in texts))
    cfg = OmegaConf.create({"task": {"source_lang": "en", "target_lang": "de+ko"}})
    rows = merge_same_source(read_items(cfg, tmp_path, "test"))
    assert [(row["id"], row["direction"], row["reference"]) for row in rows] == [
        (0, "en-de", ["hallo", "guten Tag"]),
        (1, "en-ko", ["annyeong"]),
        (2, "en-de", ["ja"]),
    ]


def test_recordings_are_items_of_their_own():
    rows = [
        {"source": None, "item": "a", "reference": "one"},
        {"source": None, "item": "b", "reference": ["two", "too"]},
    ]
    assert [row["reference"] for row in merge_same_source(rows)] == [["one"], ["two", "too"]]


def test_a_recording_with_several_texts_keeps_its_number_in_the_dataset(tmp_path: Path):
    """By which ``s2s diagnose`` and the attention of the report find its features."""
    texts = {"a": ("one", "uno"), "b": ("two",), "c": ("three", "drei")}
    write_manifest(tmp_path / "test.tsv", "audio", (Item(id, Path("/x.wav"), each) for id, each in texts.items()))
    cfg = OmegaConf.create({"task": {"source_lang": "audio", "target_lang": "en"}})
    rows = merge_same_source(read_items(cfg, tmp_path, "test"))
    items = prepared_items(tmp_path / "test.tsv")
    assert [(items[row["id"]].id, tuple(row["reference"])) for row in rows] == list(texts.items())
