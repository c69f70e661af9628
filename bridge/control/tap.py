"""Tap tempo: the tempo of somebody's foot."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

WINDOW_NS = 2_000_000_000
"""A pause of more than this begins anew: slower than 30 bpm nobody taps."""

TAPS_MIN = 3
TAPS_KEPT = 8


class TapTempo:
    """The median of the last intervals, from the third tap on."""

    def __init__(self) -> None:
        self._taps_ns: deque[int] = deque(maxlen=TAPS_KEPT)

    def tap(self, now_ns: int) -> float | None:
        """A tap; the tempo in bpm so far, None as long as there are too few."""
        if self._taps_ns and now_ns - self._taps_ns[-1] > WINDOW_NS:
            self._taps_ns.clear()
        self._taps_ns.append(now_ns)
        if len(self._taps_ns) < TAPS_MIN:
            return None
        taps = list(self._taps_ns)
        between_ns = median(later - earlier for earlier, later in pairwise(taps))
        return 60e9 / max(between_ns, 1)
