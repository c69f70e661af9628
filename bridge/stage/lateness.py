"""A histogram of how late things left, in fixed memory."""

from __future__ import annotations

import math

STEPS_PER_OCTAVE = 16
"""Resolution: a step is 4.4 %."""

STEPS = STEPS_PER_OCTAVE * 34
"""From 1 ns to 17 s; what is later still counts as that."""


class Lateness:
    """Counts by the logarithm of the lateness; percentiles are exact to one step."""

    def __init__(self) -> None:
        self._counts = [0] * (STEPS + 1)
        self.count = 0
        self.max_ns = 0

    def add(self, late_ns: int) -> None:
        """Count one; being early counts as on time."""
        step = min(STEPS, int(math.log2(late_ns) * STEPS_PER_OCTAVE)) if late_ns > 1 else 0
        self._counts[step] += 1
        self.count += 1
        self.max_ns = max(self.max_ns, late_ns)

    def percentile_us(self, percent: float) -> float:
        """The lateness in microseconds that `percent` of all stayed below or at; 0 when nothing was counted."""
        needed = math.ceil(self.count * percent / 100)
        seen = 0
        for step, count in enumerate(self._counts):
            seen += count
            if count and seen >= needed:
                return float(min(2 ** ((step + 1) / STEPS_PER_OCTAVE), self.max_ns)) / 1000 if step else 0.0
        return 0.0
