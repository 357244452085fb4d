"""``render.py FOLDER SEED``: draw the clips listed on standard input (JSON) into FOLDER, one video each.

A separate program, run once per batch, by one process per core. A clip's video depends on SEED, the clip, and the
preceding clips of the batch (see phones.py).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from mouth import FPS, SECONDS, draw, mouth_track, random_face
from phones import Phones, Voice

WORDS_PER_MINUTE = (120, 185)  # slowest and fastest
QUALITY = "2"  # of the encoder, from 1 (best) to 31
SILENCE = 0.1  # seconds before and after the sentence, at least


class Clip(NamedTuple):
    """One video to be drawn."""

    name: str  # of the file, without extension
    number: int  # seeds the random choices in this clip
    speaker: int  # seeds the face
    text: str


def say(text: str, voice: Voice, rng: np.random.Generator) -> Phones:
    """Return the phones of a clip: the sentence at a random rate, at a random time, and the silence around it."""
    spoken = voice.phones(text.replace(" a ", " [[eI]] "), int(rng.integers(*WORDS_PER_MINUTE)))  # not the article
    start = rng.uniform(SILENCE, max(SILENCE, SECONDS - SILENCE - spoken[-1][0]))
    return [(0.0, "")] + [(start + second, phone) for second, phone in spoken]


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write frames ``[T, H, W, 3]`` as MPEG-4 of constant quality: unlike x264, equal frames give equal bytes."""
    with av.open(path, "w") as container:
        options = {"qmin": QUALITY, "qmax": QUALITY, "threads": "1", "flags": "+bitexact"}
        stream = container.add_stream("mpeg4", rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    """Draw the clips listed on standard input."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    voice = Voice()
    for clip in (Clip(*row) for row in json.load(sys.stdin)):
        face = random_face(np.random.default_rng([seed, 0, clip.speaker]))
        rng = np.random.default_rng([seed, 1, clip.number])
        track = mouth_track(say(clip.text, voice, rng), face.overlap)
        write_video(folder / f"{clip.name}.mp4", draw(track, face, rng))


if __name__ == "__main__":
    main()
