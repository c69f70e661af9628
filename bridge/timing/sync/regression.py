"""A straight line through numbered arrivals, by least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[int, float]
"""The number of a pulse and when it arrived, in ns."""


@dataclass(frozen=True, slots=True)
class Line:
    """Pulse `count` is due at at_ns; the next after period_ns; arrivals scatter by sigma_ns (0 where there are two)."""

    count: int
    at_ns: float
    period_ns: float
    sigma_ns: float


@dataclass(frozen=True, slots=True)
class Prior:
    """A period that is known from before, as well as so many arrivals tell it."""

    period_ns: float
    pulses: int

    @property
    def weight(self) -> float:
        """The spread of that many numbers, which is their weight in a least-squares line."""
        return self.pulses * (self.pulses**2 - 1) / 12


def line_through(points: Sequence[Point], prior: Prior | None = None) -> Line | None:
    """The least-squares line, its period drawn towards that of before; None where neither tells a period."""
    if not points:
        return None
    first_count, first_ns = points[0]
    counts = [count - first_count for count, _ in points]
    times = [at_ns - first_ns for _, at_ns in points]
    number = len(points)
    mean_count, mean_ns = sum(counts) / number, sum(times) / number
    spread = sum(count * count for count in counts) - number * mean_count**2
    product = sum(count * at_ns for count, at_ns in zip(counts, times, strict=True)) - number * mean_count * mean_ns
    weight = prior.weight if prior else 0.0
    if spread + weight <= 0:
        return None
    period_ns = (product + weight * (prior.period_ns if prior else 0.0)) / (spread + weight)
    if period_ns <= 0:
        return None
    start_ns = mean_ns - period_ns * mean_count
    squares = sum((at_ns - start_ns - period_ns * count) ** 2 for count, at_ns in zip(counts, times, strict=True))
    sigma_ns = math.sqrt(squares / (number - 2)) if number > 2 else 0.0
    return Line(points[-1][0], first_ns + start_ns + period_ns * counts[-1], period_ns, sigma_ns)
