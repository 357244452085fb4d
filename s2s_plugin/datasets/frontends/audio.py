"""Audio files to log-mel filterbank features, as Kaldi computes them."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s2s_plugin.datasets.manifest import Item
from s2s_plugin.errors import UserError

INSTALL = "pip install 's2s-plugin[audio]'"
NORMALIZATIONS = ("channel", "level", "none")
SHORTEST = 0.025  # seconds: one window
# libsndfile reads what is left of a wav file that was cut, and says so in its remarks alone.
DATA_SIZE = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_SIZE = 2**32 - 1  # of a wav file that was written to a pipe


@dataclass
class AudioConfig:
    """What is done to a recording."""

    sample_rate: int = 16000  # Hz; other rates are resampled to it
    mel_bins: int = 80
    frame_shift_ms: float = 10.0
    normalize: str = "channel"  # to mean 0, variance 1: each mel channel of a recording; level: all as one; or none
    max_seconds: float = 60.0  # longer recordings are refused


class AudioFrontend:
    """S x ``mel_bins`` features, stored as float16."""

    def __init__(self, config: AudioConfig):
        self.config = config
        if config.normalize not in NORMALIZATIONS:
            raise UserError(f"audio.normalize is {config.normalize}: give {', '.join(NORMALIZATIONS)}")
        for name in ("soundfile", "soxr", "kaldi_native_fbank"):
            if importlib.util.find_spec(name) is None:
                raise UserError(f"audio needs the package {name}: {INSTALL}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.mel_bins,)

    @property
    def seconds_per_step(self) -> float:
        return self.config.frame_shift_ms / 1000

    def load(self, item: Item) -> np.ndarray:
        waveform = self.waveform(item.path)
        seconds = len(waveform) / self.config.sample_rate
        if seconds < SHORTEST:
            raise UserError(f"{item.path}: {seconds * 1000:.0f} ms of sound are less than one window; leave it out")
        if seconds > self.config.max_seconds:
            raise UserError(
                f"{item.path}: {seconds:.0f} s of sound; cut it into sentences, or raise audio.max_seconds="
                f"{self.config.max_seconds:g}"
            )
        if not np.isfinite(waveform).all():
            raise UserError(f"{item.path}: holds samples that are no numbers; convert it again")
        if np.abs(waveform).max() < 1e-5:
            raise UserError(f"{item.path}: silent throughout; record it again or leave it out")
        features = filterbank(waveform, self.config)
        if self.config.normalize != "none":
            axis = 0 if self.config.normalize == "channel" else None
            features = (features - features.mean(axis)) / np.maximum(features.std(axis), 1e-3)
        return features.astype(np.float16)

    def to_image(self, source: Tensor) -> np.ndarray:
        """S x mel channels, float16."""
        return source.numpy().astype(np.float16)

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        return torch.from_numpy(stored.astype(np.float32))

    def waveform(self, path: Path) -> np.ndarray:
        """Samples between -1 and 1 at ``sample_rate``, channels averaged."""
        import soxr

        samples, rate = read_audio(path)
        mono = samples.mean(axis=1)
        return mono if rate == self.config.sample_rate else soxr.resample(mono, rate, self.config.sample_rate)


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Samples x channels, float32 between -1 and 1, and samples per second.

    wav, flac, ogg, mp3 by libsndfile; the sound track of other containers by PyAV, where that is installed.

    Raises:
        UserError: no such file, or not a sound file.
    """
    import soundfile

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: 0 bytes; fetch or record it again")
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate, remarks = file.read(dtype="float32", always_2d=True), file.samplerate, file.extra_info
    except soundfile.LibsndfileError as error:
        if importlib.util.find_spec("av") is not None:
            return _read_track(path)
        raise UserError(
            f"{path}: not a sound file that libsndfile reads ({str(error.error_string).rstrip('.')}); "
            "convert it to wav or flac, or for the sound of videos pip install 's2s-plugin[video]'"
        ) from None
    cut = DATA_SIZE.search(remarks)
    if cut is not None and int(cut[1]) != UNKNOWN_SIZE:
        raise UserError(f"{path}: cut short, {int(cut[2]):,} of {int(cut[1]):,} bytes of sound; fetch it again")
    return samples, rate


def _read_track(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: a video without a sound track; leave it out")
            resampler = av.AudioResampler(format="flt")
            blocks, rate = [], container.streams.audio[0].rate
            for frame in container.decode(audio=0):
                blocks += [_interleaved(part) for part in resampler.resample(frame)]
            blocks += [_interleaved(part) for part in resampler.resample(None)]
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: not a sound file ({reason}); convert it to wav or flac") from None
    if not blocks:
        raise UserError(f"{path}: its sound track holds no samples; fetch it again")
    return np.concatenate(blocks), rate


def _interleaved(frame) -> np.ndarray:
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels)


def filterbank(waveform: np.ndarray, config: AudioConfig) -> np.ndarray:
    """Kaldi's ``compute-fbank-feats`` without dither: S x ``mel_bins`` natural logs of energies, float32.

    ``waveform`` is between -1 and 1; Kaldi's scale is that of 16-bit integers.
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
