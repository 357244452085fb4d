"""A worker that is killed while media are packed or text is binarized: an error within seconds."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from fairseq import binarizer
from fairseq.data import Dictionary

from s2s_plugin.datasets.features import PackedFeatures, pack
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.workers import Pool


class Frontend:
    """Reads numbers; one item kills the process that reads it, once."""

    def __init__(self, once: Path):
        self.once = once

    def load(self, item: Item) -> np.ndarray:
        if item.id == "50" and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((2, 3), int(item.id), dtype=np.float32)


def test_packing(tmp_path: Path):
    items = [Item(str(number), tmp_path / "x", ("text",)) for number in range(100)]
    started = time.monotonic()
    with pytest.raises(UserError, match=r"a worker process died.*workers=1"):
        pack(items, Frontend(tmp_path / "once"), tmp_path / "train", skip_bad=True, workers=3)
    assert time.monotonic() - started < 10
    assert pack(items, Frontend(tmp_path / "once"), tmp_path / "train", skip_bad=True, workers=3) == {}
    packed = PackedFeatures(tmp_path / "train")
    assert [int(each[0, 0]) for each in packed] == list(range(100))


class Deadly(binarizer.VocabularyDatasetBinarizer):
    def binarize_line(self, line, summary):
        if "die" in line:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().binarize_line(line, summary)


def test_binarizing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By fairseq's binarizer, whose own pool waits for ever."""
    monkeypatch.setattr(binarizer, "Pool", Pool)
    (tmp_path / "lines").write_text("a b\n" * 100)
    dictionary = Dictionary()
    dictionary.add_symbol("a")

    def run(kind: type, workers: int, name: str):
        method = binarizer.FileBinarizer.multiprocess_dataset
        return method(str(tmp_path / "lines"), "mmap", kind(dictionary), str(tmp_path / name), num_workers=workers)

    for workers in (1, 3):
        run(Deadly, workers, f"out{workers}")
    assert (tmp_path / "out1.bin").read_bytes() == (tmp_path / "out3.bin").read_bytes()
    (tmp_path / "lines").write_text("a b\n" * 100 + "die\n")
    started = time.monotonic()
    with pytest.raises(UserError, match="a worker process died"):
        run(Deadly, 3, "dead")
    assert time.monotonic() - started < 10


def test_a_changed_part_is_not_packed_on(tmp_path: Path):
    items = [Item(str(number), tmp_path / "x", ("text",)) for number in range(100)]
    (tmp_path / "once").touch()

    class Stops(Frontend):
        def load(self, item):
            if item.id == "60":
                raise KeyboardInterrupt
            return super().load(item)

    import s2s_plugin.datasets.features as features

    interval, features.SAVE_INTERVAL = features.SAVE_INTERVAL, 0.0
    try:
        with pytest.raises(KeyboardInterrupt):
            pack(items, Stops(tmp_path / "once"), tmp_path / "train", skip_bad=True, workers=1)
    finally:
        features.SAVE_INTERVAL = interval
    content = bytearray((tmp_path / "train.bin").read_bytes())
    content[100] ^= 1
    (tmp_path / "train.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"train.bin: damaged since packing"):
        pack(items, Frontend(tmp_path / "once"), tmp_path / "train", skip_bad=True, workers=1)
