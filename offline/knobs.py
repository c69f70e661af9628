"""Knobs: the settings of a training, a dataclass of numbers and words: changed from a command line, held in range."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from engines.errors import SidemanError

HIGHEST = 1 << 24
"""Of a whole number."""


class Knobs(Protocol):
    """A frozen dataclass that can tell whether its values are in range."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        ...


K = TypeVar("K", bound=Knobs)


def changed(config: K, settings: Sequence[str]) -> K:
    """The config with settings written key=value. Raises SidemanError naming a wrong one."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in {field.name for field in fields(config)}:
            raise SidemanError(f"--set {setting}: there is no {key}; {_file_of(config)} lists them")
        kind = type(getattr(config, key))
        try:
            values[key] = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError) as error:
            raise SidemanError(f"--set {setting}: {text!r} is no {kind.__name__}") from error
    result = replace(config, **values)
    result.check()
    return result


def in_range(config: Knobs, lowest: Mapping[str, int]) -> None:
    """Raise SidemanError for a share that is none, or a whole number under what `lowest` says, or else under 1."""
    for field in fields(config):
        value, at_least = getattr(config, field.name), lowest.get(field.name, 1)
        if isinstance(value, float) and not 0.0 <= value <= 1.0:
            raise SidemanError(f"{field.name} is {value}; it goes from 0 to 1")
        if isinstance(value, int) and not isinstance(value, bool) and not at_least <= value <= HIGHEST:
            raise SidemanError(f"{field.name} is {value}; it is a whole number from {at_least} on")


def _file_of(config: Knobs) -> str:
    module = type(config).__module__
    file = Path(sys.modules[module].__file__ or module)
    return "/".join(file.parts[-module.count(".") - 1 :])
