"""Beats: readings whose ticks mean beats, made of readings whose ticks do not.

Three kinds of files are told apart by their onsets alone. Most stand on the grid they state. Some are on a grid of
sixteenths of the tempo they state that begins at no beat of theirs (POP909: aligned with a recording): they are moved.
Some were played to no grid at all (ASAP's performances): their beats are found (offline.notes.tracking). The bars of
the last two, and of files that state bars which the ear contradicts, are found by ear (offline.notes.downbeats).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter
from offline.notes.downbeats import contradicted, downbeats
from offline.notes.reading import Reading

NEAR_TICKS = 40
"""A twenty-fourth of a beat: what is nearer than this to a place is on it."""
WINDOW = 64
"""Onsets that are compared with one grid."""
ON_STATED, ON_ANY = 0.42, 0.66
"""Shares of onsets on a grid of sixteenths: chance is 1/3 on a given grid, and .45 on the best for 64 onsets."""
ON_TRIPLETS, EXACT_TICKS = 0.6, 10
"""Share of onsets on a grid of triplets, this near; chance is a quarter."""
JUMP = 12.0
"""What a jump of the grid costs, in onsets off the grid."""
BIN_TICKS = 8
"""Resolution of a moved grid."""
TRIPLET_TICKS = STEP_TICKS // 3


def on_beats(reading: Reading) -> tuple[Reading, bool]:
    """The reading with beats where its ticks say, and whether they had to be found.

    A reading on its own grid and in its own bars comes back as it is. Bars of one beat throughout say nothing.
    """
    from offline.notes.tracking import tracked

    if not len(reading.ticks):
        return reading, False
    if is_stated(reading.ticks):
        if any(metre not in (None, Meter(1, 4)) for _, metre in reading.meters) and not contradicted(reading):
            return reading, False
        placed = _moved(reading)
    else:
        placed = _moved(reading) if on_some_grid(reading.ticks) else tracked(reading)
    return replace(placed, meters=tuple(downbeats(placed))), True


def is_stated(ticks: NDArray[np.int64]) -> bool:
    """Whether onsets, [N] ticks, stand on the grid from tick 0: of sixteenths, or of triplets and some sixteenths."""
    on_sixteenths = float((_off(ticks, STEP_TICKS) <= NEAR_TICKS).mean())
    on_triplets = float((_off(ticks, TRIPLET_TICKS) <= EXACT_TICKS).mean())
    return on_sixteenths >= ON_STATED or (on_triplets >= ON_TRIPLETS and on_sixteenths >= ON_STATED / 2)


def on_some_grid(ticks: NDArray[np.int64]) -> bool:
    """Whether onsets, [N] ticks, mostly stand on sixteenths counted from anywhere, for WINDOW onsets at a time."""
    ends = range(WINDOW, max(len(ticks), WINDOW) + 1, WINDOW)
    return float(np.median([_on_best(ticks[end - WINDOW : end]) for end in ends])) >= ON_ANY


def _off(ticks: NDArray[np.int64], grid: int) -> NDArray[np.int64]:
    """Ticks from each to the nearest place of a grid."""
    return np.abs((ticks + grid // 2) % grid - grid // 2)


def _on_best(ticks: NDArray[np.int64]) -> float:
    phases = np.bincount(ticks % STEP_TICKS, minlength=STEP_TICKS)
    around = np.concatenate([phases[-NEAR_TICKS:], phases, phases[:NEAR_TICKS]])
    sums = np.append(0, np.cumsum(around))
    return float((sums[2 * NEAR_TICKS + 1 :] - sums[:STEP_TICKS]).max() / len(ticks))


def _moved(reading: Reading) -> Reading:
    """The reading moved onto the grid that its onsets keep; the grid may jump where the file's tempo map slipped."""
    lag = _lag(reading.ticks)
    return replace(
        reading,
        ticks=np.maximum.accumulate(np.maximum(reading.ticks - lag, 0)),
        tempi=tuple({max(0, tick - int(lag[0])): us for tick, us in reading.tempi}.items()),
    )


def _lag(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far the grid of sixteenths is behind the file's own at each onset, [N] ticks: the cheapest that fits.

    An onset costs its distance from the grid, 1 at most, and a jump of the grid costs JUMP, as does to begin away
    from the file's own.
    """
    lags = np.arange(0, STEP_TICKS, BIN_TICKS)
    cost_of_phase = np.minimum(_off(np.arange(STEP_TICKS)[:, None] - lags[None, :], STEP_TICKS) / NEAR_TICKS, 1.0)
    phase = ticks % STEP_TICKS
    total = cost_of_phase[phase[0]] + np.where(_off(lags, STEP_TICKS) <= NEAR_TICKS, 0.0, JUMP)
    came = np.zeros((len(ticks), len(lags)), np.uint8)
    stay = np.arange(len(lags))
    for i in range(1, len(ticks)):
        cheapest = int(total.argmin())
        came[i] = np.where(total <= total[cheapest] + JUMP, stay, cheapest)
        total = np.minimum(total, total[cheapest] + JUMP) + cost_of_phase[phase[i]]
    path = np.zeros(len(ticks), np.int64)
    path[-1] = total.argmin()
    for i in range(len(ticks) - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    return np.unwrap(lags[path], period=STEP_TICKS).astype(np.int64)
