"""Images: usual formats, shape, transparency, orientation; broken files are named."""

from __future__ import annotations

import numpy as np
import pytest
from media import halves, item, write_image

from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.errors import UserError


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp"])
def test_usual_formats(tmp_path, ending):
    pixels = halves(["red", "blue"], np.random.default_rng(1))
    found = build_frontend("image", {"size": 32}).load(item(write_image(tmp_path / f"a.{ending}", pixels)))
    assert found.shape == (32, 32, 3)
    assert np.abs(found.astype(int) - pixels).mean() < (12 if ending in ("jpg", "webp") else 1)


def test_crop_and_pad(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 100
    path = write_image(tmp_path / "wide.png", pixels)
    assert (build_frontend("image", {"size": 20}).load(item(path)) == 100).mean() > 0.9
    padded = build_frontend("image", {"size": 40, "fit": "pad"}).load(item(path))
    assert (padded[:8] == 255).all() and (padded[12:28, :8] == 0).all()


def test_transparency_is_white_and_cameras_are_turned_upright(tmp_path):
    from PIL import Image

    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    frontend = build_frontend("image", {"size": 8})
    assert (frontend.load(item(tmp_path / "clear.png")) == 255).all()
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste("white", (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    picture.save(tmp_path / "turned.png", exif=exif)
    found = frontend.load(item(tmp_path / "turned.png"))
    assert (found[:4] == 0).all() and (found[4:] == 255).all()
    assert frontend.to_tensor(found).unique().tolist() == [-1.0, 1.0]


def test_broken_pictures_are_named(tmp_path):
    from PIL import Image

    good = write_image(tmp_path / "good.png", halves(["red", "blue"], np.random.default_rng(1)))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("words")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:800])
    Image.new("1", (10_000, 5_000)).save(tmp_path / "huge.png")
    for name, reason in {
        "empty.png": "0 bytes",
        "text.png": "unknown format",
        "cut.png": "not an image",
        "huge.png": "50 megapixels",
        "absent.png": "no such file",
    }.items():
        with pytest.raises(UserError) as caught:
            build_frontend("image", {}).load(item(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value) and reason in str(caught.value), name
