"""Reading: the notes, metres and tempi of a MIDI file as plain arrays, in ticks of engines.music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.music import TICKS_PER_BEAT, Meter


@dataclass(frozen=True, slots=True)
class Reading:
    """What a MIDI file says. Ticks are 960 a quarter note; notes are in order of time, then of pitch.

    ticks:     int64 [N] onsets
    program:   int64 [N] General MIDI program 0-127 of the note's track and channel
    is_drum:   bool  [N] a note of channel 10
    pitch:     int64 [N] 0-127
    velocity:  int64 [N] 1-127
    length:    int64 [N] ticks, at least 1
    meters:    (tick, metre) from which each metre holds; the first is at tick 0; None: a metre outside Meter's
    tempi:     (tick, microseconds a quarter note), the first at tick 0
    has_tempo: the file states a tempo itself
    """

    ticks: NDArray[np.int64]
    program: NDArray[np.int64]
    is_drum: NDArray[np.bool_]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    length: NDArray[np.int64]
    meters: tuple[tuple[int, Meter | None], ...]
    tempi: tuple[tuple[int, int], ...]
    has_tempo: bool

    def seconds(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """When each tick sounds, in seconds from the start."""
        starts, tempi = np.array(self.tempi, np.float64).T
        at = np.append(0.0, np.cumsum(np.diff(starts) * tempi[:-1]))
        i = np.searchsorted(starts, ticks, side="right") - 1
        seconds: NDArray[np.float64] = (at[i] + (ticks - starts[i]) * tempi[i]) / TICKS_PER_BEAT / 1e6
        return seconds
