"""Kaldi's log-mel filterbank features of audio files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.datasets.frontends.sound import read_audio, read_features
from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import note_some
from s2s_plugin.utils.options import option

NORMALIZATIONS = ("channel", "level", "none")
MIN_SECONDS = 0.025  # one window
CANCELLATION = 0.1  # share of the power that one channel alone leaves in the mean, below which channels cancel out


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

    dtype = "float16"

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
        features = read_features(item.path)
        features = self._compute(item.path) if features is None else self._check_features(item.path, features)
        if self.config.normalize != "none":
            axis = 0 if self.config.normalize == "channel" else None
            features = (features - features.mean(axis)) / np.maximum(features.std(axis), 1e-3)
        return features.astype(np.float16)

    def _check_features(self, path: Path, features: np.ndarray) -> np.ndarray:
        if features.ndim != 2 or features.shape[1] != self.config.mel_bins or not len(features):
            rule = f"must have frames x audio.mel_bins={self.config.mel_bins} features"
            raise UserError(f"{path}: {rule}, got {' x '.join(map(str, features.shape))}")
        self._check_duration(path, len(features) * self.seconds_per_step)
        if not np.isfinite(features).all():
            raise UserError(f"{path}: features must be finite; compute them again")
        return features.astype(np.float32)

    def _compute(self, path: Path) -> np.ndarray:
        import soxr

        samples, rate = read_audio(path, self.config.max_seconds)
        waveform = samples.mean(axis=1)
        if (channel := _audible_channel(samples, waveform)) is not None:
            note_some("cancel", f"{path}: its channels cancel each other out; channel {channel + 1} is used alone")
            waveform = samples[:, channel]
        if rate != self.config.sample_rate:
            waveform = soxr.resample(waveform, rate, self.config.sample_rate)
        seconds = len(waveform) / self.config.sample_rate
        if seconds < MIN_SECONDS:
            raise UserError(f"{path}: must be at least {MIN_SECONDS * 1000:g} ms, got {seconds * 1000:.0f} ms")
        self._check_duration(path, seconds)
        if not np.isfinite(waveform).all():
            raise UserError(f"{path}: samples must be finite; convert it again")
        if np.abs(waveform).max() < 1e-5:
            raise UserError(f"{path}: silent throughout; record it again")
        return filterbank(waveform, self.config)

    def _check_duration(self, path: Path, seconds: float) -> None:
        if seconds > self.config.max_seconds:
            rule = f"must be at most audio.max_seconds={self.config.max_seconds:g} long"
            raise UserError(f"{path}: {rule}, got more; cut it into sentences")

    def to_image(self, source: Tensor) -> np.ndarray:
        """Return S x mel channels, float16."""
        return source.numpy().astype(np.float16)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        return torch.from_numpy(stored.astype(np.float32))


def _audible_channel(samples: np.ndarray, mean: np.ndarray) -> int | None:
    """Return the loudest channel if the mean of all has lost what is in it, as with opposite phases; else None."""
    channels = samples.shape[1]
    if channels == 1 or not len(samples):
        return None
    powers = [float(channel.var(dtype=np.float64)) for channel in samples.T]
    cancelled = float(mean.var(dtype=np.float64)) * channels**2 < CANCELLATION * max(powers)
    return int(np.argmax(powers)) if cancelled else None


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
