"""Clicks: when eight of them are sent, and how late they were, from whatever was heard meanwhile.

They are spaced unevenly, so that no wrong distance fits more than one of them: what rings on, is doubled, goes missing
or comes from somewhere else is told from the clicks by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from engines.errors import SidemanError

CLICKS_MS = (0, 220, 700, 1250, 1580, 2010, 2390, 2670)
"""When they sound. All distances between any two differ by 40 ms or more."""

NEEDED = 6
"""So many of the eight must be heard, all equally late but for:"""

TOLERANCE_MS = 15.0

EARLIEST_MS, LATEST_MS = -1000.0, 1000.0
"""How early or late they may be; a set takes no more either."""

MUCH = 4
"""More than so many things heard for each click cannot be told apart."""

SHARE_OF_PEAK = 0.25
OVER_NOISE = 8.0
QUIETEST = 1e-3
"""An onset in sound is the first sample over a share of the loudest, if that stands out from the noise before it."""

STILL_S = 0.05
"""For so long it must have been softer than that."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the clicks were. late_ms: the median; spread_ms: between the earliest and the latest of those heard."""

    late_ms: float
    spread_ms: float
    heard: int

    def __str__(self) -> str:
        word = "late" if self.late_ms >= 0 else "early"
        figures = f"{abs(self.late_ms):.2f} ms {word}"
        return f"{figures} ({self.heard} of {len(CLICKS_MS)} clicks, within {self.spread_ms:.2f} ms)"


def lateness(due_ns: Sequence[int], heard_ns: Sequence[int]) -> Lateness:
    """How late `due_ns` were heard among `heard_ns`, both in perf_counter's nanoseconds.

    Raises SidemanError, in one line with the remedy, when nothing was heard, too little, or too much to tell.
    """
    if not heard_ns:
        raise SidemanError(
            "none of the clicks was heard: check the cable, what plays there, and --input (`sideman ports`)"
        )
    distances_ms = (np.asarray(heard_ns)[None, :] - np.asarray(due_ns)[:, None]) / 1e6
    possible = distances_ms[(distances_ms >= EARLIEST_MS) & (distances_ms <= LATEST_MS)]
    fits = {float(late_ms): _matching(distances_ms, late_ms) for late_ms in possible}
    if not fits:
        raise SidemanError("what was heard came over a second from the clicks; is it something else that sounds?")
    most = max(len(fit) for fit in fits.values())
    if most < min(NEEDED, len(due_ns)):
        raise SidemanError(f"only {most} of {len(due_ns)} clicks were heard: turn them up, or choose another --note")
    if len(possible) > MUCH * len(due_ns) ** 2:
        raise SidemanError("too much else was heard to tell the clicks from it; stop what else plays")
    first_ms = min(late_ms for late_ms, fit in fits.items() if len(fit) == most)  # later ones are echoes
    found = _matching(distances_ms, float(median(fits[first_ms])))
    return Lateness(float(median(found)), _spread_ms(found), len(found))


def onsets(samples: npt.NDArray[np.float32], rate: int, quiet_s: float) -> npt.NDArray[np.int64]:
    """Frames of mono `samples` (frames,) at which a click begins; the first quiet_s are known to have none."""
    loudness = np.abs(np.nan_to_num(samples))
    quiet = loudness[: max(1, round(quiet_s * rate))]
    noise = float(np.percentile(quiet, 95))
    peak = float(loudness.max(initial=0.0))
    if peak < max(QUIETEST, noise * OVER_NOISE):
        return np.zeros(0, np.int64)
    loud = np.flatnonzero(loudness >= max(peak * SHARE_OF_PEAK, noise * OVER_NOISE / 2))
    begins = np.diff(loud, prepend=-round(STILL_S * rate) - 1) > STILL_S * rate
    return loud[begins].astype(np.int64)


def _matching(distances_ms: npt.NDArray[np.float64], late_ms: float) -> list[float]:
    """For each click that something was heard for about late_ms after it, how late the nearest such thing was."""
    nearest = np.abs(distances_ms - late_ms).argmin(axis=1)
    late = distances_ms[np.arange(len(distances_ms)), nearest]
    return [float(one) for one in late if abs(one - late_ms) <= TOLERANCE_MS]


def _spread_ms(late_ms: Sequence[float]) -> float:
    return max(late_ms) - min(late_ms) if late_ms else 0.0
