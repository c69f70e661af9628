"""Faders of a bundle: directions copied into it, with the settings that they have in play (engines.musicgen.faders)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engines.errors import SidemanError
from engines.musicgen.direction import TENSORS, Method, read_direction, write_direction
from engines.musicgen.faders import FADERS, FADERS_MAX, KEYS, KEYS_MAX, NAME, FaderFile
from engines.musicgen.parameters import Live, parameters_for
from engines.musicgen.shape import Shape
from engines.parameter import RESERVED_NAMES

SETTINGS: dict[str, Callable[[str], str | float]] = {
    "low": float, "high": float, "coefficient": float, "units": str, "layers": str, "top": int, "base": float,
    "exponent": float,
}  # fmt: skip
"""What may stand behind a direction's file, and how it is read."""

METHOD = "method="
BEST: tuple[Method, ...] = ("diffmean", "ridge", "rfm", "random")
"""Of several directions of a concept, which a held key is given: docs/STEERING.md has how they do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where directions are copied to, and the shape of the model that they have to be for."""

    folder: Path
    shape: Shape


def placed_live(folder: Path, shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    """What a bundle's config says of playing, by the options of sideman export musicgen. Raises SidemanError."""
    said = {name: getattr(args, name) for name in Live.__struct_fields__}
    try:
        live = msgspec.convert(said, Live)
    except msgspec.ValidationError as error:
        raise SidemanError(f"what a player begins with: {error}") from error
    return {"live": msgspec.to_builtins(live)} | placed_faders(folder, shape, args.fader, args.directions)


def placed_faders(folder: Path, shape: Shape, faders: Sequence[str], directions: str) -> dict[str, Any]:
    """Copy what --fader and --directions name into a bundle's folder; what its config says of them.

    Raises SidemanError for what cannot be read, is another model's, or has a name that is taken.
    """
    rows: dict[str, list[FaderFile]] = {FADERS: [], KEYS: []}
    taken = {parameter.name for parameter in parameters_for((), Live())} | RESERVED_NAMES
    for text in faders:
        name, equals, rest = text.partition("=")
        name = name.strip().lower()
        if not equals or not name or not re.fullmatch(NAME, name):
            raise SidemanError(
                f"--fader {text}: it is written NAME=FILE{TENSORS},KEY=VALUE,...; a name has letters, digits and _"
            )
        if name in taken:
            raise SidemanError(f"--fader {name}: the player has a parameter of that name already; give another")
        taken.add(name)
        path, *pairs = rest.split(",")
        rows[FADERS].append(_copied(Place(folder, shape), Path(path).expanduser(), f"fader-{name}", pairs, name))
    if directions:
        path, *pairs = directions.split(",")
        methods = tuple(pair.removeprefix(METHOD) for pair in pairs if pair.startswith(METHOD)) or BEST
        for number, each in enumerate(_one_each(Path(path).expanduser(), methods)):
            settings = [pair for pair in pairs if not pair.startswith(METHOD)]
            rows[KEYS].append(_copied(Place(folder, shape), each, f"direction-{number:02d}", settings))
    for key, most in ((FADERS, FADERS_MAX), (KEYS, KEYS_MAX)):
        if len(rows[key]) > most:
            raise SidemanError(f"{len(rows[key])} {key} are too many for a bundle: at most {most}")
    return {key: msgspec.to_builtins(listed) for key, listed in rows.items() if listed}


def _one_each(folder: Path, methods: Sequence[str]) -> list[Path]:
    """Of each concept whose directions lie in a folder, that of the first of these methods."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob(f"*{TENSORS}")):
        about = read_direction(path).about
        found.setdefault(about.concept, {})[about.method] = path
    firsts = (next((paths[method] for method in methods if method in paths), None) for paths in found.values())
    taken = [path for path in firsts if path is not None]
    if not taken:
        raise SidemanError(
            f"--directions {folder}: there is none of {', '.join(methods)}; sideman train steering makes them"
        )
    return taken


def _copied(place: Place, path: Path, stem: str, pairs: Sequence[str], name: str = "") -> FaderFile:
    """A direction, read and written again under a plain name."""
    settings: dict[str, str | float] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if key not in SETTINGS or not equals:
            raise SidemanError(f"{path.name}: {pair!r} is no KEY=VALUE; keys are {', '.join(SETTINGS)}")
        try:
            settings[key] = SETTINGS[key](value)
        except ValueError as error:
            raise SidemanError(f"{path.name}: {key}={value}: {key} is written like 0.5") from error
    direction = read_direction(path)
    direction.must_fit(place.shape.model_hash, place.shape.layers, place.shape.width)
    try:
        file = msgspec.convert({"file": stem + TENSORS, "name": name, **settings}, FaderFile)
    except msgspec.ValidationError as error:
        raise SidemanError(f"{path.name}: {error}") from error
    write_direction(direction, place.folder / file.file)
    return file
