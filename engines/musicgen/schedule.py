"""How strongly a direction acts over time: a factor for each step, and a gate that opens now and then.

A step is one column of codes, a fiftieth of a second in MusicGen. The counter of steps always advances, whether the
gate opens or not; a gate is drawn once a step for all layers, from the seeded stream, so that a take can be made again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from engines.errors import SidemanError
from engines.randomness import generator

Schedule = Callable[[int], float]
"""The factor at a step, counted from 0."""

Curve = Literal["constant", "exponential", "linear", "ramp"]

DECAY = 0.998
"""exponential: of the factor so much is left after each step."""
STEPS = 1500
"""linear: steps after which nothing is left; ramp: steps until all is there."""

FACTOR_MAX = 1e6
"""Either way: a factor beyond it is a mistake, and with a large coefficient no number could hold it."""

GATES = 1 << 32
"""Streams of randomness from here on are gates; below are samples (engines.musicgen.sampling)."""


def named(curve: Curve, decay: float = DECAY, steps: int = STEPS) -> Schedule:
    """One of the four: 1; decay^t; 1 - t / steps down to 0; t / steps up to 1. Raises SidemanError."""
    if not 0.0 < decay <= 1.0 or steps < 1:
        raise SidemanError(f"a schedule's decay is above 0 and at most 1, its steps at least 1: not {decay:g}, {steps}")
    table: dict[str, Schedule] = {
        "constant": lambda step: 1.0,
        "exponential": lambda step: decay**step,
        "linear": lambda step: 1.0 - min(step / steps, 1.0),
        "ramp": lambda step: min(step / steps, 1.0),
    }
    if curve not in table:
        raise SidemanError(f"there is no schedule {curve}; there are {', '.join(table)}, or points like 0:0,500:1")
    return table[curve]


def pointed(points: Sequence[tuple[float, float]]) -> Schedule:
    """The user's own: straight lines between (step, factor); the first and last factor hold outside.

    Raises SidemanError for points that are not finite or whose steps do not rise.
    """
    if not points or not np.isfinite(np.array(points)).all():
        raise SidemanError("a schedule of points is written step:factor,step:factor,... with plain numbers")
    steps, factors = zip(*points, strict=True)
    if any(late <= early for early, late in itertools.pairwise(steps)):
        raise SidemanError("the steps of a schedule's points must rise")
    return lambda step: float(np.interp(step, steps, factors))


def parsed(text: str, decay: float = DECAY, steps: int = STEPS) -> Schedule:
    """A schedule by its name, or from points written 0:0,500:1 or 0:0/500:1. Raises SidemanError."""
    if ":" not in text:
        return named(text, decay, steps)  # type: ignore[arg-type]  # it says itself what it does not know
    try:
        points = [
            (float(step), float(factor))
            for step, factor in (each.split(":") for each in text.replace("/", ",").split(","))
        ]
    except ValueError as error:
        raise SidemanError(f"the schedule {text[:40]!r} is not written like 0:0,500:1 (step:factor)") from error
    return pointed(points)


def factor_at(schedule: Schedule, step: int) -> float:
    """The factor, held against NaN. Raises SidemanError when the user's own function says no number, or a huge one."""
    factor = float(schedule(step))
    if not abs(factor) <= FACTOR_MAX:
        raise SidemanError(f"the schedule says {factor:g} at step {step}; it goes to {FACTOR_MAX:,.0f} either way")
    return factor


def gate_open(chance: float, seed: int, step: int, number: int) -> bool:
    """Whether direction `number`'s gate is open at a step: once for all layers. chance: 0 to 1."""
    return chance >= 1.0 or bool(generator(seed, step, stream=GATES + number).random() < chance)
