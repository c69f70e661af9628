"""Pieces: music on the grid, as the model of notes reads it: events and the bars they stand in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, TICKS_PER_BEAT, Meter
from engines.notes.events import BAR, STEPS_MAX, Bars, Events, quantised
from engines.notes.roles import DRUMS, ROLE_OF_PROGRAM
from offline.data.midi import UnusableError
from offline.notes.reading import Reading

LONGEST_REST = 4
"""Bars in a row in which no note starts, that are kept; a longer rest is shortened to one bar."""
TEMPO_RANGE = (10, 500)
"""Beats a minute that a bar may say."""

_ROLES = np.array(ROLE_OF_PROGRAM, np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of music on the grid.

    events:    its notes (engines.notes.events)
    bars:      its bars: the first and the last hold notes
    performed: the beats were found by ear (offline.notes.beats), not stated by the file
    """

    events: Events
    bars: Bars
    performed: bool = False


def piece_of(reading: Reading, performed: bool = False, velocities: bool = True) -> Piece:
    """The piece that a reading holds, whose ticks must mean beats (offline.notes.beats.on_beats where they don't).

    performed:  what the piece says of itself
    velocities: False where the file's velocities mean nothing (drawn at random); a file whose notes are all equally
                loud says nothing of loudness either. Unknown velocities are class 0.

    Bars come from the file's metres: a pickup stays a short bar, a bar over 32 sixteenths becomes several. Bars before
    the first note are cut, as those after the last; rests over LONGEST_REST bars are shortened.
    Raises UnusableError when there are no notes.
    """
    if not len(reading.ticks):
        raise UnusableError("no notes")
    starts, denominators = bar_starts(reading.meters, int(reading.ticks.max()) + STEP_TICKS)
    loud = velocities and bool((reading.velocity != reading.velocity[0]).any())
    events = quantised(
        reading.ticks,
        np.where(reading.is_drum, DRUMS, _ROLES[reading.program]),
        reading.pitch,
        reading.velocity if loud else np.zeros_like(reading.velocity),
        reading.length,
        starts,
    )
    steps = np.diff(starts) // STEP_TICKS
    low, high = TEMPO_RANGE
    seconds = np.maximum(np.diff(reading.seconds(starts)), 1e-9)
    tempo = np.clip(np.rint(np.diff(starts) / TICKS_PER_BEAT * 60 / seconds), low, high)
    bars = np.stack([steps, denominators, tempo], 1).astype(np.int32)
    kept = _kept(np.bincount(events[:, BAR], minlength=len(bars)) > 0)
    events[:, BAR] = (np.cumsum(kept) - 1)[events[:, BAR]]
    return Piece(events, bars[kept], performed)


def bar_starts(meters: Iterable[tuple[int, Meter | None]], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[B + 1] first tick of each bar until one ends at or after `end`, and the end; [B] denominators.

    A change of metre inside a bar cuts it short there, as sequencers do. One off the grid is put on it. A metre that is
    none of ours leaves the one before it.
    """
    metre, changes = Meter(), dict[int, Meter]()
    for tick, stated in meters:
        metre = stated or metre
        changes[round(tick / STEP_TICKS) * STEP_TICKS] = metre
    at = sorted(tick for tick in changes if tick < end) or [0]
    starts, denominators = [], []
    for tick, until in zip(at, [*at[1:], end], strict=True):
        metre = changes.get(tick, Meter())
        pattern = _pattern(metre)
        count = -(-(until - tick) // metre.bar_ticks)
        bars = (tick + np.arange(count)[:, None] * metre.bar_ticks + pattern[None, :]).ravel()
        bars = bars[bars < until]
        starts.append(bars)
        denominators.append(np.full(len(bars), metre.denominator, np.int64))
    metre = changes.get(at[-1], Meter())
    inside = (starts[-1][-1] - at[-1]) % metre.bar_ticks
    pattern = np.append(_pattern(metre), metre.bar_ticks)
    last = starts[-1][-1] - inside + pattern[pattern > inside][0]
    return np.append(np.concatenate(starts), last), np.concatenate(denominators)


def _pattern(metre: Meter) -> NDArray[np.int64]:
    """First ticks of the bars that one of this metre is divided into, on its beats: one if it is short enough."""
    parts = -(-metre.steps // STEPS_MAX)
    beats = -(-np.arange(parts) * metre.numerator // parts)
    return np.asarray(beats * metre.beat_ticks, np.int64)


def _kept(sounding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which bars stay, [B] of each whether a note starts in it."""
    filled = np.flatnonzero(sounding)
    kept = sounding.copy()
    for before, after in pairwise(filled):
        rest = after - before - 1
        kept[before + 1 : before + 1 + (rest if rest <= LONGEST_REST else 1)] = True
    return kept
