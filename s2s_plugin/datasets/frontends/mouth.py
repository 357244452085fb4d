"""Location of the mouth in a video, by face landmarks.

dlib's face detector (Dalal & Triggs 2005) and its 68 landmarks (Kazemi & Sullivan 2014), the last 20 of which are the
lips. The landmark model was trained on the iBUG 300-W photographs, which exclude commercial use.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

LIPS = range(48, 68)
MODEL = "models/shape_predictor_68_face_landmarks.dat"
FRAME_INTERVAL = 5  # look at every fifth frame: the mouth moves little
WIDTH, HEIGHT = 2.75, 1.4  # of the region, in mouth widths: lips, chin and cheeks

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def mouth_box(frames: Iterable[np.ndarray]) -> Box | None:
    """Return one region for the whole video, at the median position of the lips; None if no face is detected.

    ``frames``: gray, H x W, uint8.
    """
    positions, size = [], (0, 0)
    for frame in islice(frames, 0, None, FRAME_INTERVAL):
        size = frame.shape
        lips = _lip_detector()(frame)
        if lips is not None:
            positions.append((*lips.mean(0), np.ptp(lips[:, 0])))
    if not positions:
        return None
    x, y, mouth = np.median(positions, axis=0)
    width, height = min(size[1], round(WIDTH * mouth)), min(size[0], round(HEIGHT * mouth))
    left = int(np.clip(round(x - width / 2), 0, size[1] - width))
    top = int(np.clip(round(y - height / 2), 0, size[0] - height))
    return left, top, width, height


@functools.cache
def _lip_detector() -> Callable[[np.ndarray], np.ndarray | None]:
    """Return a function from a gray frame to the 20 x 2 lip points of its largest face, or None."""
    import dlib

    package = importlib.util.find_spec("face_recognition_models")  # its own __init__ requires setuptools
    assert package is not None and package.origin is not None
    detect, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(Path(package.origin).parent / MODEL))

    def detect_lips(frame: np.ndarray) -> np.ndarray | None:
        faces = detect(frame, 0) or detect(frame, 1)  # 1: at double size, for small faces
        if not faces:
            return None
        points = predict(frame, max(faces, key=lambda face: face.area()))
        return np.array([(points.part(i).x, points.part(i).y) for i in LIPS])

    return detect_lips
