"""Small real media files for tests: tones, moving bars and colored pictures, with texts that describe them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from command_line import call

from s2s_plugin.datasets.manifest import Item, write_manifest

RATE = 8000
FPS = 25
TONES = {"a": 300, "b": 600, "c": 1200, "d": 2400}  # Hz
COLORS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (30, 60, 220), "white": (250, 250, 250)}
TINY = "dataset.max_tokens=2000 optimization.max_update=10 model=tiny generation.max_len_a=0 generation.max_len_b=9"
RUNS = {
    "audio": ("asr", "audio.mel_bins=24 audio.sample_rate=8000 model.encoder_channels=4 model.ctc=true"),
    "video": ("lipread", "video.height=16 video.width=32 model.encoder_channels=4 model.ctc=true"),
    "image": ("caption", "image.size=16 model.encoder_channels=4"),
}


def item(path: Path, box: str = "") -> Item:
    """A file without a text."""
    return Item("x", path, (), box=box)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    import soundfile

    soundfile.write(path, samples, rate)
    return path


def write_video(path: Path, frames: list[np.ndarray], fps: int = FPS) -> Path:
    """Frames are H x W x 3, uint8."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_image(path: Path, pixels: np.ndarray) -> Path:
    from PIL import Image

    Image.fromarray(pixels).save(path)
    return path


def tones(word: str, rng: np.random.Generator) -> np.ndarray:
    """A tone of 100 to 140 ms for each letter, with some noise."""
    parts = []
    for letter in word:
        times = np.arange(int(rng.uniform(0.10, 0.14) * RATE)) / RATE
        parts.append(0.3 * np.sin(2 * np.pi * TONES[letter] * times) * np.hanning(len(times)) ** 0.3)
    samples = np.concatenate(parts)
    return samples + rng.normal(0, 0.005, len(samples))


def bars(word: str, rng: np.random.Generator) -> list[np.ndarray]:
    """For 3 to 5 frames each, a bright bar at the place of each letter: 48 x 64 pixels."""
    frames = []
    for letter in word:
        for _ in range(rng.integers(3, 6)):
            frame = np.full((48, 64, 3), 40, np.uint8)
            left = 4 + 15 * "abcd".index(letter)
            frame[8:40, left : left + 10] = 230
            frames.append(frame)
    return frames


def halves(words: list[str], rng: np.random.Generator) -> np.ndarray:
    """The left half in the first color, the right half in the second: 32 x 32 pixels, with some noise."""
    pixels = np.zeros((32, 32, 3), np.int16)
    pixels[:, :16], pixels[:, 16:] = COLORS[words[0]], COLORS[words[1]]
    return (pixels + rng.integers(-20, 21, pixels.shape)).clip(0, 255).astype(np.uint8)


def make_items(folder: Path, modality: str, count: int, seed: int = 1) -> list[Item]:
    """``count`` files in ``folder``, each with the text that says what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    items = []
    for number in range(count):
        if modality == "image":
            words = draw.sample(list(COLORS), 2)
            path = write_image(folder / f"{number}.png", halves(words, rng))
            items.append(Item(f"i{number}", path, (" ".join(words),)))
            continue
        word = "".join(draw.choice("abcd") for _ in range(draw.randint(2, 4)))
        path = (
            write_wav(folder / f"{number}.wav", tones(word, rng))
            if modality == "audio"
            else write_video(folder / f"{number}.mp4", bars(word, rng))
        )
        items.append(Item(f"i{number}", path, (" ".join(word),), speaker="s"))
    return items


def media_run(folder: Path, modality: str) -> Path:
    """A run of a few updates; its media stay in ``folder/media``."""
    app, options = RUNS[modality]
    write_manifest(folder / "my.tsv", modality, make_items(folder / "media", modality, 40))
    data = f"data=manifest data.manifest={folder}/my.tsv data.held_out=5 subword.kind=word"
    call(f"s2s run app={app} {data} {options} {TINY} checkpoint_metric=loss", cwd=folder)
    return folder / f"runs/{app}/default"
