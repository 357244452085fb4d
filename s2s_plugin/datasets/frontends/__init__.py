"""Frontends: from media files to arrays of source steps, one module per modality."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from s2s_plugin.datasets.manifest import MODALITIES, Item
from s2s_plugin.errors import UserError
from s2s_plugin.utils.paths import check_regular
from s2s_plugin.utils.untrusted import REMEDY, show


class Frontend(Protocol):
    """Reads media files as arrays to store, and stored arrays as tensors for the encoder."""

    dtype: str  # of stored arrays

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one source step."""

    def load(self, item: Item) -> np.ndarray:
        """Read an item; source steps first, the other dimensions the same for every item.

        Raises:
            UserError: the file is not usable; the message names it and says why.
        """

    def to_image(self, source: Tensor) -> np.ndarray:
        """Undo ``to_tensor``, for display."""

    def to_tensor(self, stored: np.ndarray) -> Tensor:
        """Convert to float32 with a mean near 0, so that padding may be 0."""


def build_frontend(modality: str, options: Mapping) -> Frontend:
    """Build the frontend of a modality with these options of its config.

    Raises:
        UserError: there is no such modality or option, or a value is not of the declared type.
    """
    if modality not in MODALITIES:
        raise UserError(f"the modality must be {', '.join(MODALITIES)}, got {show(modality)}")
    module, name = importlib.import_module(f"{__name__}.{modality}"), modality.capitalize()
    try:
        config = OmegaConf.merge(OmegaConf.structured(getattr(module, f"{name}Config")), dict(options))
        return getattr(module, f"{name}Frontend")(OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        raise UserError(f"options of {modality}: {show(str(error).splitlines()[0])}; {REMEDY}") from None


def load(frontend: Frontend, item: Item) -> np.ndarray:
    """Read an item.

    Raises:
        UserError: the file is not usable, whatever its decoder raised.
    """
    try:
        return frontend.load(item)
    except UserError:
        raise
    except Exception as error:  # decoders raise anything on a broken file, MemoryError too
        raise UserError(f"{item.path}: cannot be read ({type(error).__name__}: {error})") from error


def check_installed(feature: str, extra: str, packages: dict[str, str]) -> None:
    """Raise UserError if one of the ``packages`` (names by module) that the ``extra`` installs is missing."""
    for module, package in packages.items():
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{feature} requires the package {package}: pip install 's2s-plugin[{extra}]'")


def check_file(path: Path) -> None:
    """Raise if a media file is missing, empty or no regular file."""
    check_regular(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: 0 bytes; fetch or record it again")


def open_container(file: BinaryIO) -> Any:
    """Open a media file with PyAV; what it only refers to, such as the files of a playlist, cannot be read."""
    import av

    return av.open(file, "r", options={"protocol_whitelist": "none"})
