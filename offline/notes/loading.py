"""Any model of notes for evaluation: a training, which is scored, or a bundle, which plays."""

from __future__ import annotations

from pathlib import Path

from engines.bundle import MANIFEST, find
from engines.errors import BundleError, SidemanError
from engines.registry import engine_for, opened
from offline.hparams import HPARAMS, model_in
from offline.notes.models import Playing, Scored
from offline.notes.playing import EnginePlayer


def load_model(path: str) -> Scored | Playing:
    """A model from a training's folder, which can be scored, or from a bundle's folder or name, which plays.

    Raises SidemanError when it is neither.
    """
    place = Path(path).expanduser()
    if place.is_dir() and not (place / MANIFEST).is_file():
        return _training(place)
    try:
        folder = find(path)
    except BundleError as problem:
        raise SidemanError(f"{problem}; the folder of a training will do too") from problem
    return EnginePlayer(opened(engine_for(folder), folder)[0], path)


def _training(folder: Path) -> Scored:
    from offline.notes.chain.scored import ChainScored
    from offline.notes.gpt.scored import GptScored

    model = model_in(folder)
    if model is None:
        raise SidemanError(f"{folder} is no bundle, and no training of notes: it has no {HPARAMS}")
    kinds: dict[str, type[ChainScored | GptScored]] = {"chain": ChainScored, "remi": GptScored}
    if model not in kinds:
        raise SidemanError(f"{folder} is a training of {model}; notes are played by {' and '.join(kinds)}")
    return kinds[model].load(folder)
