"""Any drum model for evaluation: a bundle, or a folder of a training."""

from __future__ import annotations

from pathlib import Path

from engines.bundle import MANIFEST, Bundle, find
from engines.drums.engine import load_model as load_bundle
from engines.drums.model import DrumModel
from engines.errors import BundleError, SidemanError
from offline.drums.groove.checkpoint import load_model as groove
from offline.drums.lstm.run import BEST, LstmRun
from offline.drums.vocabulary import Vocabulary

LSTM_SUFFIXES = (".keras", ".h5")


def load_model(path: str) -> DrumModel:
    """A model from a bundle's folder or name, or from a training's folder or checkpoint file.

    Raises SidemanError when it is none of these.
    """
    place = Path(path).expanduser()
    if (place / MANIFEST).is_file() or not place.exists():
        return load_bundle(Bundle.load(_bundle(path)))
    if _is_lstm(place):
        return LstmRun(place).model()
    return groove(place)


def load_vocabulary(path: str) -> Vocabulary | None:
    """The vocabulary of a model that `load_model` takes; None for a model without one."""
    place = Path(path).expanduser()
    if _is_lstm(place):
        return LstmRun(place).hparams.vocabulary()
    if place.exists() and not (place / MANIFEST).is_file():
        return None
    masks = Bundle.load(_bundle(path)).manifest.config.get("masks")
    return Vocabulary(tuple(masks), (0,) * (len(masks) + 1)) if masks else None


def _is_lstm(place: Path) -> bool:
    return place.suffix in LSTM_SUFFIXES or (place / BEST).is_file()


def _bundle(path: str) -> Path:
    try:
        return find(path)
    except BundleError as problem:
        raise SidemanError(f"{problem}; a training's folder or checkpoint will do too") from problem
