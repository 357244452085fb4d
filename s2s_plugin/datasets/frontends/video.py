"""Gray frames of the mouth at a fixed rate, of video files or folders of frames."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.frontends import check_file, check_installed, mouth, open_container
from s2s_plugin.datasets.frontends.image import read_image, square_pixels
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.options import option

NORMALIZATIONS = ("clip", "pixel")
MOUTH = "mouth"  # value of video.box: detect it
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_MEGAPIXELS = 40.0  # of a frame
BOX = re.compile(r"(\d+)x(\d+)\+(\d+)\+(\d+)")
# Signs of a display matrix (a, b, c, d; x' = ax + cy, y' = bx + dy) to the name of Pillow's operation
TRANSPOSITIONS = {
    (0, 1, -1, 0): "ROTATE_270",
    (-1, 0, 0, -1): "ROTATE_180",
    (0, -1, 1, 0): "ROTATE_90",
    (-1, 0, 0, 1): "FLIP_LEFT_RIGHT",
    (1, 0, 0, -1): "FLIP_TOP_BOTTOM",
    (0, 1, 1, 0): "TRANSPOSE",
    (0, -1, -1, 0): "TRANSVERSE",
}
TOLERANCE = 1e-4  # seconds; time stamps are rounded


@dataclass
class VideoConfig:
    """Options of the video frontend."""

    fps: float = option(25.0, "frames per second; of a folder of frames all are read")
    height: int = option(32, "height of a stored frame, in pixels")
    width: int = option(64, "width of a stored frame, in pixels")
    box: Optional[str] = option(None, "mouth region WIDTHxHEIGHT+X+Y, or mouth to detect it; default: whole frames")
    normalize: str = option("clip", "to mean 0, variance 1: clip (one mean) or pixel (a mean for each pixel)")
    max_seconds: float = option(30.0, "maximum duration; longer videos are refused")


class VideoFrontend:
    """S x ``height`` x ``width`` gray frames, stored as uint8."""

    dtype = "uint8"

    def __init__(self, config: VideoConfig):
        self.config = config
        if config.normalize not in NORMALIZATIONS:
            raise UserError(f"video.normalize must be {' or '.join(NORMALIZATIONS)}, got {config.normalize}")
        check_installed("video", "video", {"PIL": "pillow"})
        if config.box == MOUTH:
            packages = {"dlib": "dlib-bin", "face_recognition_models": "face-recognition-models"}
            check_installed("video.box=mouth", "landmarks", packages)
        self.box = parse_box(config.box, "video.box") if config.box and config.box != MOUTH else None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.height, self.config.width)

    @property
    def seconds_per_step(self) -> float:
        return 1 / self.config.fps

    def load(self, item: Item) -> np.ndarray:
        limit = round(self.config.max_seconds * self.config.fps)
        box = parse_box(item.box, f"{item.path}: box") if item.box else self.box
        if box is None and self.config.box == MOUTH:
            images = islice(read_frames(item.path, self.config.fps), limit)
            box = mouth.mouth_box(np.asarray(image.convert("L")) for image in images)
            if box is None:
                raise UserError(f"{item.path}: no face detected; set video.box=WIDTHxHEIGHT+X+Y")
        images = islice(read_frames(item.path, self.config.fps), limit + 1)
        frames = [self._region(image, box, item.path) for image in images]
        if len(frames) > limit:
            rule = f"must be at most video.max_seconds={self.config.max_seconds:g}"
            raise UserError(f"{item.path}: {rule}; cut it into clips")
        if not frames:
            raise UserError(f"{item.path}: has no frames; fetch it again")
        return np.stack(frames)

    def _region(self, image, box: tuple[int, int, int, int] | None, path: Path) -> np.ndarray:
        """Crop a PIL image to the mouth region, then to the aspect ratio of the features around its center, in gray."""
        left, top, width, height = box or (0, 0, *image.size)
        if left + width > image.width or top + height > image.height:
            rule = f"must lie within the frames of {image.width} x {image.height} pixels"
            raise UserError(f"{path}: the box {rule}, got {width}x{height}+{left}+{top}")
        aspect = self.config.width / self.config.height
        kept_width, kept_height = min(width, height * aspect), min(height, width / aspect)
        left, top = left + (width - kept_width) / 2, top + (height - kept_height) / 2
        region = (left, top, left + kept_width, top + kept_height)
        size = (self.config.width, self.config.height)
        return np.asarray(image.convert("L").resize(size, resample=3, box=region, reducing_gap=2.0), dtype=np.uint8)

    def to_image(self, source: Tensor) -> np.ndarray:
        """Return S x H x W, uint8."""
        frames = (source - source.min()) / (source.max() - source.min()).clamp(min=1e-6)
        return (frames * 255).numpy().astype(np.uint8)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        frames = torch.from_numpy(stored.astype(np.float32))
        frames = frames - (frames.mean(0) if self.config.normalize == "pixel" else frames.mean())
        return frames / frames.std().clamp(min=1.0)


def parse_box(text: str, where: str) -> tuple[int, int, int, int]:
    """Parse ``WIDTHxHEIGHT+X+Y`` in pixels as x, y, width and height."""
    match = BOX.fullmatch(text)
    if match is None or "0" in match.groups()[:2]:
        raise UserError(f"{where} must be WIDTHxHEIGHT+X+Y in pixels, such as 110x55+105+178, got '{text}'")
    width, height, left, top = map(int, match.groups())
    return left, top, width, height


def read_frames(path: Path, fps: float) -> Iterator:
    """Yield the PIL images of a video at the times 0, 1/fps, 2/fps ...; all those of a folder, in the order of numbers.

    They are upright and have square pixels.

    Raises:
        UserError: no such file, not a video or image, or no video track.
    """
    return _read_folder(path) if path.is_dir() else _read_video(path, fps)


def _read_video(path: Path, fps: float) -> Iterator:
    check_installed(f"{path}: a video file", "video", {"av": "av"})  # folders of frames do without
    import av

    check_file(path)
    try:
        with path.open("rb") as file, open_container(file) as container:
            if not container.streams.video:
                raise UserError(f"{path}: must have a video track")
            stream = container.streams.video[0]
            if (megapixels := stream.width * stream.height / 1e6) > MAX_MEGAPIXELS:
                raise UserError(f"{path}: frames must have at most {MAX_MEGAPIXELS:g} megapixels, got {megapixels:.0f}")
            stream.thread_type = "AUTO"
            aspect = float(stream.sample_aspect_ratio or 1)
            decoded = (frame for frame in container.decode(stream) if frame.time is not None)
            yield from at_rate(((frame.time, _upright(frame, aspect)) for frame in decoded), fps)
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: not a video ({reason}); convert it to mp4") from None


def _upright(frame, aspect: float):
    """Return a decoded frame as a PIL image, as a player shows it."""
    from av.sidedata.sidedata import Type
    from PIL import Image

    image = square_pixels(frame.to_image(), aspect)
    if (matrix := frame.side_data.get(Type.DISPLAYMATRIX)) is None:
        return image
    values = np.frombuffer(bytes(matrix), np.int32)[[0, 1, 3, 4]].astype(np.int64)
    signs = tuple(np.where(np.abs(values) * 2 > np.abs(values).max(), np.sign(values), 0).tolist())
    name = TRANSPOSITIONS.get(signs)
    return image if name is None else image.transpose(Image.Transpose[name])


def natural_key(path: Path) -> list:
    """Return a key that sorts numbers in names by their values: 2 before 10."""
    parts = [re.split(r"(\d+)", part) for part in path.parts]
    return [[(int(text) if number % 2 else 0, text) for number, text in enumerate(part)] for part in parts]


def at_rate(frames: Iterable[tuple[float, Any]], fps: float) -> Iterator[Any]:
    """Resample frames with times in seconds: yield the one shown at 0, 1/fps, 2/fps ... after the first.

    The last one is shown for as long as the one before it.
    """
    first, length, count = None, 1 / fps, 0
    with_end: Iterator[Any] = chain(frames, [None])
    for (time, frame), following in pairwise(with_end):
        first = time if first is None else first
        length = following[0] - time if following else length
        while count / fps < time - first + length - TOLERANCE:
            yield frame
            count += 1


def _read_folder(folder: Path) -> Iterator:
    for path in sorted(folder.iterdir(), key=natural_key):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield read_image(path, MAX_MEGAPIXELS).convert("L")
