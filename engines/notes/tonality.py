"""Tonality: which pitch classes have sounded lately, so that a note can be heard against the key and the chord.

Two fading sums of how long each pitch class was written (a bar and four bars of 4/4 until half is forgotten), each
relative to its strongest and on a scale of decibels: 1 is the strongest, 0 a hundredth of it or less. Like the profiles
that keys are found by (Krumhansl 1990), but what follows from them is learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import DURATION, DURATIONS, PITCH, ROLE, Events
from engines.notes.roles import DRUMS

HALF_LIVES = (16.0, 64.0)
"""Sixteenths."""
LANES = len(HALF_LIVES)
FLOOR = 0.01
LONGEST = 16
"""Sixteenths that a note counts for at most."""

_LIVES = np.array(HALF_LIVES)[:, None]
_LENGTHS = np.minimum(np.array(DURATIONS), LONGEST).astype(np.float64)


class Tonality:
    """The sums while a song is being played. Immutable: `heard` returns those after a note."""

    __slots__ = ("at", "sums")

    def __init__(self, sums: NDArray[np.float64] | None = None, at: float = 0.0) -> None:
        """sums: [LANES, 12] at sixteenth `at`."""
        self.sums = np.zeros((LANES, 12)) if sums is None else sums
        self.at = at

    def heard(self, sixteenth: float, role: int, pitch: int, duration: int) -> Tonality:
        """After a note; sixteenth: of its onset, not before those of the notes so far; duration: its class."""
        if role == DRUMS:
            return self
        sums = self.sums * 2.0 ** ((self.at - sixteenth) / _LIVES)
        sums[:, pitch % 12] += _LENGTHS[duration]
        return Tonality(sums, sixteenth)

    def lanes(self) -> NDArray[np.float32]:
        """[LANES, 12] from 0 to 1."""
        return _scaled(self.sums)


def tonality_of(sixteenths: NDArray[np.float64], rows: Events, note: NDArray[np.int64]) -> NDArray[np.float32]:
    """[S, LANES, 12]: what Tonality says after each of a window's elements.

    sixteenths: [S] of each element; rows: [N, 7] the notes among them; note: [N] their places among the elements
    """
    sums = np.zeros((len(sixteenths), LANES, 12))
    pitched = rows[:, ROLE] != DRUMS
    place, heard = note[pitched], rows[pitched]
    if not len(place):
        return np.zeros(sums.shape, np.float32)
    grown = 2.0 ** (sixteenths[place][:, None] / np.array(HALF_LIVES))  # what has sounded, as if nothing faded
    sums[place[:, None], np.arange(LANES), heard[:, PITCH, None] % 12] = _LENGTHS[heard[:, DURATION], None] * grown
    return _scaled(np.cumsum(sums, axis=0))


def _scaled(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    top = sums.max(-1, keepdims=True)
    share = sums / np.where(top > 0.0, top, 1.0)
    scaled: NDArray[np.float32] = (1.0 - np.log(np.maximum(share, FLOOR)) / np.log(FLOOR)).astype(np.float32)
    return scaled
