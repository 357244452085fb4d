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
    Image.new("L", (9, 9)).save(tmp_path / "program.eps")
    for name, reason in {
        "empty.png": "0 bytes",
        "text.png": "unknown format",
        "program.eps": "unknown format",
        "cut.png": "not an image",
        "huge.png": "50 megapixels",
        "absent.png": "no such file",
    }.items():
        with pytest.raises(UserError) as caught:
            build_frontend("image", {}).load(item(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value) and reason in str(caught.value), name


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    ("name", "pixels"),
    {
        "16 bits.png": (RAMP * 65535).round().astype(np.uint16),
        "16 bits.tif": (RAMP * 65535).round().astype(np.uint16),
        "16 bits, big-endian.tif": (RAMP * 65535).round().astype(">u2"),
        "16 bits.pgm": (RAMP * 65535).round().astype(np.uint16),
        "32 bits.tif": (RAMP * (2**31 - 1)).astype(np.int32),
        "32 bits, to 255.tif": (RAMP * 255).round().astype(np.int32),
        "float, to 1.tif": RAMP.astype(np.float32),
        "float, to 255.tif": (RAMP * 255).astype(np.float32),
        "float, any.tif": (RAMP * 9 - 5).astype(np.float32),
        "float.pfm": RAMP.astype(np.float32),
    }.items(),
)
def test_gray_of_more_than_8_bits_keeps_its_shades(tmp_path, name, pixels):
    from PIL import Image

    Image.fromarray(pixels).save(tmp_path / name)
    found = build_frontend("image", {"size": 8}).load(item(tmp_path / name))
    assert np.abs(found - RAMP[:, :, None] * 255).max() <= 1
    if name == "float.pfm":
        Image.fromarray(pixels * np.float32(np.nan)).save(tmp_path / "nan.tif")
        with pytest.raises(UserError, match=r"nan\.tif: not an image \(pixels must be finite\)"):
            build_frontend("image", {}).load(item(tmp_path / "nan.tif"))


def test_palettes_inks_and_animations(tmp_path):
    from PIL import Image

    gray = Image.fromarray((RAMP * 255).round().astype(np.uint8))
    palette = gray.convert("RGB").quantize(64)
    seen_through = np.asarray(palette) < 32
    palette.save(tmp_path / "palette.png", transparency=bytes([0] * 32 + [255] * 32))
    gray.convert("RGB").convert("CMYK").save(tmp_path / "inks.tif")
    gray.convert("RGB").convert("CMYK").save(tmp_path / "inks.jpg", quality=100)
    for name in ("moving.gif", "moving.png", "moving.tif"):
        gray.save(tmp_path / name, save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    Image.fromarray((RAMP * 65535).round().astype(np.uint16)).save(tmp_path / "clear.png", transparency=0)
    for path in sorted(tmp_path.iterdir()):
        expected = (RAMP * 255)[:, :, None].repeat(3, 2)
        if path.name == "palette.png":
            expected[seen_through] = 255
        if path.name == "clear.png":
            expected[0, 0] = 255
        found = build_frontend("image", {"size": 8}).load(item(path))
        assert np.abs(found - expected).max() <= 4, path.name


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_pixels_that_are_not_square_and_every_orientation(tmp_path, ending):
    """A scan of 100 x 200 dots per inch is twice as wide as it has columns for its rows."""
    from PIL import Image, ImageOps

    pixels = np.full((40, 20), 250, np.uint8)
    pixels[:20, :10] = 10  # the upper left quarter
    upright = Image.fromarray(pixels).resize((40, 40))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{ending}"
        Image.fromarray(pixels).save(path, dpi=(100, 200), exif=exif)
        upright.getexif()[0x0112] = orientation
        expected = np.asarray(ImageOps.exif_transpose(upright))
        found = build_frontend("image", {"size": 40, "fit": "pad"}).load(item(path))[..., 0].astype(int)
        away = (np.abs(np.arange(40) - 19.5) > 4)[:, None] & (np.abs(np.arange(40) - 19.5) > 4)
        assert np.abs(found - expected)[away].max() < 12, orientation
