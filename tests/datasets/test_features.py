"""Packed features: equal to the frontend's, resumable, whole or refused; bad media named and left out or refused."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest
from media import make_items

from s2s_plugin.datasets.augment import Augmentation
from s2s_plugin.datasets.features import FeatureSource, PackedFeatures, pack
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[Item]:
    return make_items(tmp_path_factory.mktemp("tones"), "audio", 70)


@pytest.fixture(scope="module")
def frontend():
    return build_frontend("audio", {"sample_rate": 8000})


@pytest.mark.parametrize("workers", [1, 2])
def test_packed_features_are_those_of_the_frontend(tmp_path, items, frontend, workers):
    assert pack(items, frontend, tmp_path / "train", skip_bad=False, workers=workers) == {}
    packed = PackedFeatures(tmp_path / "train")
    assert packed.ids == [item.id for item in items]
    for number in (0, 1, 35, 69):
        assert np.array_equal(packed[number], frontend.load(items[number]))
    assert packed.sizes[3] == len(packed[3])
    about = json.loads((tmp_path / "train.json").read_text())
    assert about["sha256"] == hashlib.sha256((tmp_path / "train.bin").read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.bin", "train.json"]
    again = pickle.loads(pickle.dumps(packed))  # noqa: S301 (as a worker process gets it)
    assert np.array_equal(again[69], packed[69])


class Stopping:
    """A frontend that counts what it reads and stops the process at one item, as Ctrl-C would."""

    def __init__(self, frontend, stop_at: str):
        self.frontend, self.stop_at, self.read = frontend, stop_at, []

    def load(self, item: Item):
        if item.id == self.stop_at:
            raise KeyboardInterrupt
        self.read.append(item.id)
        return self.frontend.load(item)


def test_a_stopped_packing_goes_on(tmp_path, items, frontend, monkeypatch):
    monkeypatch.setattr("s2s_plugin.datasets.features.SAVE_INTERVAL", 0.0)
    first = Stopping(frontend, "i41")
    with pytest.raises(KeyboardInterrupt):
        pack(items, first, tmp_path / "x", skip_bad=False, workers=1)
    with (tmp_path / "x.bin").open("ab") as file:
        file.write(b"half a frame")  # written after the last record of progress
    with pytest.raises(UserError, match="no packed features"):
        PackedFeatures(tmp_path / "x")
    second = Stopping(frontend, "none")
    pack(items, second, tmp_path / "x", skip_bad=False, workers=1)
    assert first.read + second.read == [item.id for item in items], "nothing is read twice"
    pack(items, frontend, tmp_path / "whole", skip_bad=False, workers=1)
    assert (tmp_path / "x.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()


def test_bad_media_are_named_and_left_out_or_refused(tmp_path, items, frontend):
    broken = tmp_path / "broken.wav"
    broken.write_text("this is text")
    mixed = [items[0], Item("bad", broken, ("x",)), items[1]]
    with pytest.raises(UserError, match=r"broken\.wav: not a sound file.*data\.on_bad_item=skip"):
        pack(mixed, frontend, tmp_path / "a", skip_bad=False, workers=1)
    skipped = pack(mixed, frontend, tmp_path / "b", skip_bad=True, workers=1)
    assert list(skipped) == ["bad"] and "broken.wav" in skipped["bad"]
    assert PackedFeatures(tmp_path / "b").ids == ["i0", "i1"]
    with pytest.raises(UserError, match="no usable item in 1"):
        pack([mixed[1]], frontend, tmp_path / "c", skip_bad=True, workers=1)


def test_a_shortened_file_is_refused(tmp_path, items, frontend):
    pack(items[:5], frontend, tmp_path / "x", skip_bad=False, workers=1)
    whole = (tmp_path / "x.bin").read_bytes()
    (tmp_path / "x.bin").write_bytes(whole[:-2])
    with pytest.raises(UserError, match=r"x\.bin: expected .* bytes, got .*prepare again"):
        PackedFeatures(tmp_path / "x")


def test_augmentation_depends_on_seed_and_epoch_alone(tmp_path, items, frontend):
    pack(items[:5], frontend, tmp_path / "x", skip_bad=False, workers=1)
    augment = Augmentation(time_stretch=0.2, time_masks=1, time_mask_share=0.3, freq_masks=1, freq_mask_width=20).audio

    def source(seed: int, epoch: int):
        found = FeatureSource(PackedFeatures(tmp_path / "x"), [0, 1, 1, 4], frontend, augment, seed)
        found.set_epoch(epoch)
        return found

    one, same = source(1, 3), source(1, 3)
    same[0], same[3]  # what was read before makes no difference
    assert all(one[i].equal(same[i]) for i in range(4))
    assert not one[1].equal(one[2]), "two texts of one item are augmented apart"
    assert not any(one[i].equal(source(1, 4)[i]) for i in range(4))
    assert not any(one[i].equal(source(2, 3)[i]) for i in range(4))
    plain = FeatureSource(PackedFeatures(tmp_path / "x"), [0, 1, 1, 4], frontend)
    assert plain[1].equal(plain[2])
    assert plain.sizes.tolist() == [len(plain[i]) for i in range(4)]
