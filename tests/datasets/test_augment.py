"""Augmentation: what it may change, and what not."""

from __future__ import annotations

import numpy as np
import torch

from s2s_plugin.datasets.augment import Augmentation


def rng(seed: int = 0):
    return np.random.default_rng(seed)


def test_zeros_change_nothing():
    features, frames, rows = torch.randn(20, 8), torch.randn(20, 6, 8), torch.randn(6, 8, 3)
    assert Augmentation().audio(features, rng()).equal(features)
    assert Augmentation().video(frames, rng()).equal(frames)
    assert Augmentation().image(rows, rng()).equal(rows)


def test_masks_are_no_larger_than_asked_and_the_rest_stays():
    features = torch.rand(100, 80) + 1
    masked = Augmentation(time_masks=2, time_mask_share=0.1, freq_masks=2, freq_mask_width=15)
    widths = []
    for seed in range(50):
        found = masked.audio(features, rng(seed))
        blank = found == 0
        assert found[~blank].equal(features[~blank])
        widths.append((int(blank.all(1).sum()), int(blank.all(0).sum())))
    assert max(width[0] for width in widths) in range(11, 21)
    assert max(width[1] for width in widths) in range(16, 31)
    assert features.min() >= 1, "the source itself is left alone"


def test_stretching_keeps_order_and_bounds():
    ramp = torch.arange(200.0).unsqueeze(1).repeat(1, 4)
    lengths = []
    for seed in range(50):
        found = Augmentation(time_stretch=0.1).audio(ramp, rng(seed))
        lengths.append(len(found))
        assert (found.diff(dim=0) > 0).all()
        assert found[0, 0] == 0 and found[-1, 0] == 199
    assert 180 <= min(lengths) < 190 < 210 < max(lengths) <= 220


def test_pictures_move_flip_and_change_light():
    picture = torch.zeros(20, 20, 3)
    picture[10, 5] = 1
    places = set()
    for seed in range(200):
        found = Augmentation(translate=0.1, flip=True).image(picture, rng(seed))
        assert found.sum() == 3
        places.add(tuple(found[..., 0].nonzero()[0].tolist()))
    rows, columns = {row for row, _ in places}, {column for _, column in places}
    assert rows == set(range(8, 13))
    assert columns == set(range(3, 8)) | set(range(12, 17))
    lit = Augmentation(color_jitter=0.2).image(picture, rng(1))
    assert not lit.equal(picture) and lit.shape == picture.shape


def test_a_clip_moves_as_one():
    frames = torch.rand(7, 10, 12)
    found = Augmentation(translate=0.2, flip=True).video(frames, rng(3))
    alone = Augmentation(translate=0.2, flip=True).video(frames[2:3], rng(3))
    assert found[2:3].equal(alone)
