"""Any drum model for evaluation: a bundle, or a folder of a training."""

from __future__ import annotations

from pathlib import Path

from engines.bundle import MANIFEST, Bundle, find
from engines.drums.engine import load_model as load_bundle
from engines.drums.model import DrumModel
from engines.errors import BundleError, SidemanError
from offline.drums.lstm.run import BEST, LstmRun

LSTM_SUFFIXES = (".keras", ".h5")


def load_model(path: str) -> DrumModel:
    """A model from a bundle's folder or name, or from a training's folder or checkpoint file.

    Raises SidemanError when it is none of these.
    """
    place = Path(path).expanduser()
    if (place / MANIFEST).is_file() or not place.exists():
        return load_bundle(Bundle.load(_bundle(path)))
    if place.suffix in LSTM_SUFFIXES or (place / BEST).is_file():
        return LstmRun(place).model()
    raise SidemanError(f"{path} is neither a bundle nor a training's folder")


def _bundle(path: str) -> Path:
    try:
        return find(path)
    except BundleError as problem:
        raise SidemanError(f"{problem}; a training's folder or checkpoint will do too") from problem
