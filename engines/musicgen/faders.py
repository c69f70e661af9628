"""The faders of a bundle: directions that were copied into it with their settings, under the names of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.musicgen.direction import ABOUT, Direction, Layers, Selection, Units, read_direction, steer
from engines.musicgen.shape import Shape

FADERS, KEYS = "faders", "directions"
"""In the manifest's config: what a fader moves, and further directions, for held keys."""

FADERS_MAX, KEYS_MAX = 32, 64
NAME = r"^([a-z][a-z0-9_]{0,31})?$"


class FaderFile(msgspec.Struct, frozen=True, kw_only=True):
    """A direction in a bundle.

    name:      of the parameter; "" where there is none
    file:      its tensors; the JSON is beside it
    low, high: the ends of the fader
    coefficient, units: of the direction with the fader at 1
    layers, top, base, exponent: which layers (engines.musicgen.direction.Selection)
    """

    file: Annotated[str, msgspec.Meta(pattern=r"^[\w#+.-]+\.safetensors$", max_length=200)]
    name: Annotated[str, msgspec.Meta(pattern=NAME)] = ""
    low: Annotated[float, msgspec.Meta(ge=-100.0, le=0.0)] = -1.0
    high: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 1.0
    coefficient: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.1
    units: Units = "rms"
    layers: Layers = "weighted"
    top: Annotated[int, msgspec.Meta(ge=1, le=512)] = 16
    base: Annotated[float, msgspec.Meta(ge=-1e3, le=1e3)] = 1.0
    exponent: Annotated[float, msgspec.Meta(gt=0.0, le=1e3)] = 0.95

    @property
    def selection(self) -> Selection:
        """Of the layers."""
        return Selection(self.layers, self.top, self.base, self.exponent)


@dataclass(frozen=True, slots=True, eq=False)
class BundleFader:
    """A direction of a bundle, read. full: float32 [layers, d], what it adds with its fader at 1."""

    file: FaderFile
    direction: Direction
    full: NDArray[np.float32]

    @property
    def name(self) -> str:
        """Of the parameter."""
        return self.file.name

    @property
    def concept(self) -> str:
        """What it steers to."""
        return self.direction.about.concept


def faders_of(bundle: Bundle, shape: Shape) -> tuple[tuple[BundleFader, ...], tuple[BundleFader, ...]]:
    """The faders of a bundle, and its further directions. Raises SidemanError, naming what is wrong."""
    faders = [_read(bundle, each, shape) for each in _listed(bundle, FADERS, FADERS_MAX)]
    names = [each.name for each in faders]
    if not all(names) or len(names) != len(set(names)):
        raise BundleError(f"{bundle.path}: its faders need names of their own; export the bundle again")
    return tuple(faders), tuple(_read(bundle, each, shape) for each in _listed(bundle, KEYS, KEYS_MAX))


def by_concept(faders: Iterable[BundleFader]) -> dict[str, BundleFader]:
    """The first of each concept."""
    found: dict[str, BundleFader] = {}
    for each in faders:
        found.setdefault(each.concept, each)
    return found


def _listed(bundle: Bundle, key: str, most: int) -> list[FaderFile]:
    try:
        found = msgspec.convert(bundle.manifest.config.get(key, []), list[FaderFile])
    except msgspec.ValidationError as error:
        raise BundleError(f"{bundle.path}: config: {key}: {error}; export the bundle again") from error
    if len(found) > most:
        raise BundleError(f"{bundle.path}: config: {len(found)} {key}, at most {most}; export the bundle again")
    return found


def _read(bundle: Bundle, file: FaderFile, shape: Shape) -> BundleFader:
    path = bundle.path / file.file
    for name in (path.name, path.with_suffix(ABOUT).name):
        if name not in bundle.manifest.sha256:
            raise BundleError(f"{bundle.path}: {name} has no SHA-256; export the bundle again")
    direction = read_direction(path)
    direction.must_fit(shape.model_hash, shape.layers, shape.width)
    return BundleFader(file, direction, steer(direction, file.coefficient, file.selection, file.units))
