"""Clocks: what time it is now, and how another machine's clock relates to ours (docs/ARCHITECTURE.md, Time)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where a part gets the time from; `bridge.testing.FakeClock` stands in for the real one in tests."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment."""
        ...


class SystemClock:
    """perf_counter: the one clock of ours that is fine-grained on every system and shared by all our processes."""

    def now_ns(self) -> int:
        """Nanoseconds of perf_counter."""
        return time.perf_counter_ns()


class ClockMap:
    """How a foreign clock's readings map to our nanoseconds, from pairs of readings that arrive with jitter.

    The offset follows the pairs slowly, at the given share of each surprise, so that one late reading moves little
    and a drift of a few hundred ppm is still followed; a surprise above `jump_ns` is a clock that was set, and is
    followed at once.
    """

    def __init__(
        self, ns_per_unit: float, units: int, at_ns: int, share: float = 1 / 16, jump_ns: int = 20_000_000
    ) -> None:
        """Start from one pair: the foreign clock read `units` when ours read at_ns."""
        self._ns_per_unit = ns_per_unit
        self._share = share
        self._jump_ns = jump_ns
        self._units = units
        self._at_ns = float(at_ns)

    def observe(self, units: int, at_ns: int) -> None:
        """Another pair."""
        surprise_ns = at_ns - self.ns_at(units)
        self._at_ns += surprise_ns if abs(surprise_ns) > self._jump_ns else surprise_ns * self._share

    def ns_at(self, units: int) -> float:
        """Our time when the foreign clock reads `units`."""
        return self._at_ns + (units - self._units) * self._ns_per_unit

    def units_at(self, at_ns: int) -> float:
        """The foreign clock's reading at our time at_ns."""
        return self._units + (at_ns - self._at_ns) / self._ns_per_unit


def read_together(foreign: Callable[[], int], attempts: int = 3) -> tuple[int, int]:
    """A foreign clock's reading and ours at one moment: the best of some, as we may be interrupted in between."""
    best = (1 << 62, 0, 0)
    for _ in range(attempts):
        before_ns = time.perf_counter_ns()
        units = foreign()
        after_ns = time.perf_counter_ns()
        best = min(best, (after_ns - before_ns, units, (before_ns + after_ns) // 2))
    return best[1:]
