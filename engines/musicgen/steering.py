"""Steering: directions with their own settings, added up to what a step adds to each layer's residual stream.

The sum is held below LIMIT times the length of the layer's own residual: beyond it nothing of the music is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.musicgen.direction import Direction, Selection, Units, steer
from engines.musicgen.schedule import Schedule, factor_at, gate_open, named

LIMIT = 1.0
"""The longest vector that is added after a layer, in root mean square lengths of its residual stream."""

INJECT_CHANCE = 0.3
"""The paper's preset, beside layers weighted by score (Selection("weighted"))."""


@dataclass(frozen=True, slots=True, eq=False)
class Fader:
    """A direction as it acts: full float32 [layers, d] is what it adds when its schedule says 1 (direction.steer).

    scale: float32 [layers], the residual's length; schedule, inject_chance: its own (engines.musicgen.schedule)
    """

    name: str
    full: NDArray[np.float32]
    scale: NDArray[np.float32]
    schedule: Schedule = field(default_factory=lambda: named("constant"))
    inject_chance: float = 1.0

    def check(self, layers: int, width: int) -> None:
        """Raise SidemanError, naming the direction, for what no model, or not this one, can be steered by."""
        if not 0.0 <= self.inject_chance <= 1.0:
            raise SidemanError(f"{self.name}: the inject chance is {self.inject_chance:g}; it goes from 0 to 1")
        if self.full.shape != (layers, width) or self.scale.shape != (layers,):
            raise SidemanError(
                f"{self.name} is for {self.full.shape[0]} layers of width {self.full.shape[-1]}, the model has "
                f"{layers} of {width}: train the direction on this model"
            )
        if not (np.isfinite(self.full).all() and np.isfinite(self.scale).all()):
            raise SidemanError(f"{self.name} holds numbers that are not finite; train the direction again")


def fader(
    direction: Direction, coefficient: float, selection: Selection | None = None, *, units: Units = "raw",
    schedule: Schedule | None = None, inject_chance: float = 1.0,
) -> Fader:  # fmt: skip
    """A direction with its settings. Raises SidemanError for a coefficient that is no number."""
    full = steer(direction, coefficient, selection, units)
    if not np.isfinite(full).all():
        raise SidemanError(f"the coefficient of {direction.about.concept} is {coefficient:g}, which no number can hold")
    return Fader(direction.about.concept, full, direction.scale, schedule or named("constant"), inject_chance)


class Steering:
    """Several directions at once, each with its own schedule and gate."""

    def __init__(self, faders: Sequence[Fader], layers: int, width: int, limit: float = LIMIT) -> None:
        """Raises SidemanError for a direction that is not this model's, or a setting that is no number."""
        for each in faders:
            each.check(layers, width)
        self.faders, self._limit = tuple(faders), limit
        self._none = np.zeros((layers, width), np.float32)
        self._most = limit * np.max([each.scale for each in faders], axis=0) if faders else np.zeros(layers, np.float32)

    def at(self, step: int, seed: int) -> NDArray[np.float32]:
        """float32 [layers, d]: what a step adds. Where every coefficient is 0 it is exactly 0.

        step: counted from the take's beginning, also while gates are shut. Raises SidemanError when a schedule of the
        user's own says no number.
        """
        added = np.zeros(self._none.shape, np.float64)  # what no float32 could hold is held down all the same
        for number, each in enumerate(self.faders):
            factor = factor_at(each.schedule, step)
            if factor and gate_open(each.inject_chance, seed, step, number):
                added += factor * each.full.astype(np.float64)
        lengths = np.linalg.norm(added, axis=1)
        over = lengths > self._most
        added[over] *= (self._most[over] / lengths[over])[:, None]
        return added.astype(np.float32)

    def troubles(self) -> list[str]:
        """A line for people if, with all gates open and schedules at 1, what is added has to be held down."""
        full = sum((each.full.astype(np.float64) for each in self.faders), self._none)
        lengths = np.linalg.norm(full, axis=1)
        over = lengths > self._most * (1 + 1e-6)
        if not over.any():
            return []
        worst = self._limit * float((lengths[over] / np.maximum(self._most[over], 1e-12)).max())
        names = " and ".join(dict.fromkeys(each.name for each in self.faders))
        return [
            f"{names}: the coefficients add up to {worst:.3g} times the residual's length in {int(over.sum())} of "
            f"{len(lengths)} layers, which would destroy the sound; held at {self._limit:g}"
        ]
