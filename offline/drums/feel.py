"""Feel: velocity and micro-timing of a model against the controls that anyone could write down.

The error is the mean absolute one, of the median the model would play, over the hits as they were really played. As
a dead median does well by it, the spread of what is really sampled stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, Bar
from engines.drums.model import Controls
from engines.music import TICKS_PER_BEAT
from offline.drums.baselines import VELOCITY
from offline.drums.dataset import DrumDataset, Piece

RUNNING_RATE = 0.1
"""How far the running mean moves towards each new hit."""

Guess = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Velocity and offset in ticks at every step, each [n, 9]."""


@runtime_checkable
class HasFeel(Protocol):
    """A DrumModel that plays velocity and timing of its own."""

    def feel(self, bars: Sequence[Bar], controls: Controls, continuing: bool) -> Guess:
        """Median velocity and offset at every hit of the bars.

        continuing: knowing the real velocities and offsets of earlier steps, or the hits alone
        """
        ...


@dataclass(frozen=True, slots=True)
class Feel:
    """Sums over hits; add them to join pieces.

    timing_ms, velocity: absolute errors summed; hits: how many
    """

    timing_ms: float
    velocity: float
    hits: int

    @classmethod
    def of(cls, piece: Piece, guess: Guess) -> Feel:
        """The errors of a guess at a piece, in milliseconds at the piece's own tempo and in MIDI velocity."""
        on = piece.velocity > 0
        velocity = np.abs(guess[0][on] - piece.velocity[on].astype(np.float64)).sum()
        offset = np.abs(guess[1][on] - piece.offset[on].astype(np.float64)).sum()
        return cls(float(offset) * ms_per_tick(piece.bpm), float(velocity), int(on.sum()))

    def __add__(self, other: Feel) -> Feel:
        return Feel(self.timing_ms + other.timing_ms, self.velocity + other.velocity, self.hits + other.hits)

    @property
    def timing_mae_ms(self) -> float:
        """Mean absolute error of the onsets in milliseconds."""
        return self.timing_ms / max(1, self.hits)

    @property
    def velocity_mae(self) -> float:
        """Mean absolute error of the velocities."""
        return self.velocity / max(1, self.hits)


def ms_per_tick(bpm: float) -> float:
    """Milliseconds a tick lasts."""
    return 60_000 / bpm / TICKS_PER_BEAT


def controls(train: DrumDataset | None) -> dict[str, Callable[[Piece], Guess]]:
    """The controls by name; train gives the medians, without it only the machine is left."""

    def machine(piece: Piece) -> Guess:
        constant = VELOCITY if train is None else float(np.median(train.velocity[train.velocity > 0]))
        return _constant(piece, np.full(INSTRUMENTS, constant), np.zeros(INSTRUMENTS))

    if train is None:
        return {"quantised, constant": machine}
    velocity, offset = _medians(train)

    def by_instrument(piece: Piece) -> Guess:
        return _constant(piece, velocity, offset)

    def running(piece: Piece) -> Guess:
        return _running_mean(piece, velocity, offset)

    return {"quantised, constant": machine, "medians by instrument": by_instrument, "running mean": running}


def _medians(train: DrumDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    velocity, offset = np.full(INSTRUMENTS, float(VELOCITY)), np.zeros(INSTRUMENTS)
    for i in range(INSTRUMENTS):
        on = train.velocity[:, i] > 0
        if on.any():
            velocity[i] = np.median(train.velocity[on, i])
            offset[i] = np.median(train.offset[on, i])
    return velocity, offset


def _constant(piece: Piece, velocity: NDArray[np.float64], offset: NDArray[np.float64]) -> Guess:
    shape = (len(piece.masks), INSTRUMENTS)
    return np.broadcast_to(velocity, shape).astype(np.float32), np.broadcast_to(offset, shape).astype(np.float32)


def _running_mean(piece: Piece, velocity: NDArray[np.float64], offset: NDArray[np.float64]) -> Guess:
    """Each instrument's exponential mean of its hits so far, starting from the medians."""
    guess = _constant(piece, velocity, offset)
    means = np.stack([velocity, offset]).copy()
    for step, instrument in np.argwhere(piece.velocity > 0):
        guess[0][step, instrument], guess[1][step, instrument] = means[:, instrument]
        played = (piece.velocity[step, instrument], piece.offset[step, instrument])
        means[:, instrument] += RUNNING_RATE * (np.array(played, np.float64) - means[:, instrument])
    return guess
