"""Kaldi's log-mel filterbank features of audio files."""

import importlib.util
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.frontends import check_file, check_installed
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.options import option

NORMALIZATIONS = ("channel", "level", "none")
MIN_SECONDS = 0.025  # one window
# libsndfile reads a truncated wav file without an error, and reports it in its log only.
DATA_SIZE = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_SIZE = 2**32 - 1  # in the header of a wav file that was written to a pipe


@dataclass
class AudioConfig:
    """Options of the audio frontend."""

    sample_rate: int = option(16000, "sampling rate in Hz; other rates are resampled")
    mel_bins: int = option(80, "number of mel filters")
    frame_shift_ms: float = option(10.0, "milliseconds between two frames")
    normalize: str = option("channel", "to mean 0, variance 1: channel (each mel channel), level (recording) or none")
    max_seconds: float = option(60.0, "maximum duration; longer recordings are refused")


class AudioFrontend:
    """S x ``mel_bins`` features, stored as float16."""

    def __init__(self, config: AudioConfig):
        self.config = config
        if config.normalize not in NORMALIZATIONS:
            raise UserError(f"audio.normalize must be channel, level or none, got {config.normalize}")
        check_installed("audio", "audio", {name: name for name in ("soundfile", "soxr", "kaldi_native_fbank")})

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.mel_bins,)

    @property
    def seconds_per_step(self) -> float:
        return self.config.frame_shift_ms / 1000

    def load(self, item: Item) -> np.ndarray:
        import soxr

        samples, rate = read_audio(item.path)
        waveform = samples.mean(axis=1)
        if rate != self.config.sample_rate:
            waveform = soxr.resample(waveform, rate, self.config.sample_rate)
        seconds = len(waveform) / self.config.sample_rate
        if seconds < MIN_SECONDS:
            raise UserError(f"{item.path}: must be at least {MIN_SECONDS * 1000:g} ms, got {seconds * 1000:.0f} ms")
        if seconds > self.config.max_seconds:
            rule = f"must be at most audio.max_seconds={self.config.max_seconds:g}"
            raise UserError(f"{item.path}: {rule}, got {seconds:.0f} s; cut it into sentences")
        if not np.isfinite(waveform).all():
            raise UserError(f"{item.path}: samples must be finite; convert it again")
        if np.abs(waveform).max() < 1e-5:
            raise UserError(f"{item.path}: silent throughout; record it again")
        features = filterbank(waveform, self.config)
        if self.config.normalize != "none":
            axis = 0 if self.config.normalize == "channel" else None
            features = (features - features.mean(axis)) / np.maximum(features.std(axis), 1e-3)
        return features.astype(np.float16)

    def to_image(self, source: Tensor) -> np.ndarray:
        """Return S x mel channels, float16."""
        return source.numpy().astype(np.float16)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        return torch.from_numpy(stored.astype(np.float32))


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Read samples x channels, float32 between -1 and 1, and the number of samples per second.

    libsndfile reads wav, flac, ogg and mp3; PyAV, if installed, the audio track of other containers.

    Raises:
        UserError: no such file, or not a sound file.
    """
    import soundfile

    check_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate, log = file.read(dtype="float32", always_2d=True), file.samplerate, file.extra_info
    except soundfile.LibsndfileError as error:
        if importlib.util.find_spec("av") is not None:
            return _read_track(path)
        problem = f"{path}: not a sound file ({str(error.error_string).rstrip('.')})"
        remedy = "convert it to wav or flac, or for the audio of videos pip install 's2s-plugin[video]'"
        raise UserError(f"{problem}; {remedy}") from None
    if (sizes := DATA_SIZE.search(log)) and int(sizes[1]) != UNKNOWN_SIZE:
        expected, actual = map(int, sizes.groups())
        raise UserError(f"{path}: truncated, expected {expected:,} bytes, got {actual:,}; fetch it again")
    return samples, rate


def _read_track(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: must have an audio track")
            resampler = av.AudioResampler(format="flt")
            blocks, rate = [], container.streams.audio[0].rate
            for frame in chain(container.decode(audio=0), [None]):  # None: the rest
                for part in resampler.resample(frame):
                    blocks.append(part.to_ndarray().reshape(-1, part.layout.nb_channels))
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: not a sound file ({reason}); convert it to wav or flac") from None
    if not blocks:
        raise UserError(f"{path}: the audio track is empty; fetch it again")
    return np.concatenate(blocks), rate


def filterbank(waveform: np.ndarray, config: AudioConfig) -> np.ndarray:
    """Compute Kaldi's ``compute-fbank-feats`` without dither: S x ``mel_bins`` natural logs of energies, float32.

    ``waveform`` is between -1 and 1, and is scaled to 16-bit integers as in Kaldi.
    """
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = config.sample_rate
    options.frame_opts.frame_shift_ms = config.frame_shift_ms
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = config.mel_bins
    extractor = kaldi_native_fbank.OnlineFbank(options)
    extractor.accept_waveform(config.sample_rate, (waveform * 32768.0).tolist())
    extractor.input_finished()
    return np.stack([extractor.get_frame(i) for i in range(extractor.num_frames_ready)])
