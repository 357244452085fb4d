"""Where the mouth is in a video, from face landmarks.

dlib's face detector (Dalal & Triggs 2005) and its 68 landmarks (Kazemi & Sullivan 2014), the last 20 of which are the
lips. The landmark model was trained on the iBUG 300-W photographs, which are not for commercial use.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from s2s_plugin.errors import UserError

INSTALL = "pip install 's2s-plugin[landmarks]'"
LIPS = range(48, 68)
MODEL = "models/shape_predictor_68_face_landmarks.dat"
EVERY = 5  # frames; the mouth stays where it is for that long
WIDTH, HEIGHT = 2.75, 1.4  # of the region, in widths of the mouth: lips, chin and what moves with them

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def check_installed() -> None:
    """
    Raises:
        UserError: a package is missing.
    """
    for name, package in (("dlib", "dlib-bin"), ("face_recognition_models", "face-recognition-models")):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"video.box=mouth needs the package {package}: {INSTALL}")


def mouth_box(frames: Iterable[np.ndarray]) -> Box | None:
    """One region for the whole video, around where the lips are most of the time; None where no face is seen.

    ``frames``: grey, H x W, uint8.
    """
    places, size = [], (0, 0)
    for frame in islice(frames, 0, None, EVERY):
        size = frame.shape
        lips = _finder()(frame)
        if lips is not None:
            places.append((*lips.mean(0), np.ptp(lips[:, 0])))
    if not places:
        return None
    x, y, mouth = np.median(places, axis=0)
    width, height = min(size[1], round(WIDTH * mouth)), min(size[0], round(HEIGHT * mouth))
    left = int(np.clip(round(x - width / 2), 0, size[1] - width))
    top = int(np.clip(round(y - height / 2), 0, size[0] - height))
    return left, top, width, height


@functools.cache
def _finder() -> Callable[[np.ndarray], np.ndarray | None]:
    """A function from a grey frame to the 20 x 2 points of the lips of its largest face, if there is one."""
    import dlib

    package = importlib.util.find_spec("face_recognition_models")  # its own __init__ needs setuptools
    assert package is not None and package.origin is not None
    detect, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(Path(package.origin).parent / MODEL))

    def find(frame: np.ndarray) -> np.ndarray | None:
        faces = detect(frame, 0) or detect(frame, 1)  # 1: at twice the size, for small faces
        if not faces:
            return None
        points = predict(frame, max(faces, key=lambda face: face.area()))
        return np.array([(points.part(i).x, points.part(i).y) for i in LIPS])

    return find
