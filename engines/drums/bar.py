"""Bar: one bar of the nine-piece kit on a grid of sixteenths, and its way to and from notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.music import DRUM_OF_PITCH, DRUMS, STEP_TICKS, Meter, Note, Phrase

INSTRUMENTS = len(DRUMS)
MASKS = 1 << INSTRUMENTS
HISTORY_BARS = 64
"""Bars a model may look back on."""

HIT_LENGTH_TICKS = STEP_TICKS // 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    meter:    its metre; n = meter.steps sixteenths
    masks:    uint16 [n]; bit i set: instrument i of engines.music.DRUMS is hit
    velocity: uint8 [n, 9]; 0 where there is no hit
    offset:   int16 [n, 9]; ticks from the step, -120..119; 0 where there is no hit
    """

    meter: Meter
    masks: NDArray[np.uint16]
    velocity: NDArray[np.uint8]
    offset: NDArray[np.int16]

    @classmethod
    def silent(cls, meter: Meter) -> Self:
        """A bar without a hit."""
        n = meter.steps
        return cls(
            meter,
            np.zeros(n, np.uint16),
            np.zeros((n, INSTRUMENTS), np.uint8),
            np.zeros((n, INSTRUMENTS), np.int16),
        )

    @classmethod
    def from_phrase(cls, meter: Meter, phrase: Phrase) -> Self:
        """The bar nearest to a phrase; pitches that are no drum are left out, the louder of two hits wins."""
        bar = cls.silent(meter)
        n = meter.steps
        for note in phrase.notes:
            instrument = DRUM_OF_PITCH.get(note.pitch)
            step = min(max((note.tick + STEP_TICKS // 2) // STEP_TICKS, 0), n - 1) if n else 0
            if instrument is None or n == 0 or note.velocity <= bar.velocity[step, instrument]:
                continue
            bar.masks[step] |= np.uint16(1 << instrument)
            bar.velocity[step, instrument] = note.velocity
            bar.offset[step, instrument] = min(max(note.tick - step * STEP_TICKS, -120), 119)
        return bar

    def phrase(self, length_ticks: int | None = None) -> Phrase:
        """The bar as General MIDI drum notes; hits that would fall beyond the span are left out."""
        length = self.meter.bar_ticks if length_ticks is None else length_ticks
        steps, instruments = np.nonzero(hits(self.masks))
        ticks = steps * STEP_TICKS + self.offset[steps, instruments]
        velocities = np.maximum(self.velocity[steps, instruments], 1)
        notes = [
            Note(tick, DRUMS[instrument].pitch, velocity, HIT_LENGTH_TICKS)
            for tick, instrument, velocity in zip(
                ticks.tolist(), instruments.tolist(), velocities.tolist(), strict=True
            )
            if tick < length
        ]
        return Phrase.of(length, notes)


History = tuple[Bar, ...]
"""What has been played, oldest first, at most HISTORY_BARS bars."""


def hits(masks: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Masks [n] as booleans [n, 9]."""
    bits: NDArray[np.bool_] = (masks[:, None] >> np.arange(INSTRUMENTS, dtype=np.uint16)) & 1 != 0
    return bits


def masks_of(on: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Booleans [n, 9] as masks [n]."""
    weights = 1 << np.arange(INSTRUMENTS)
    return (on @ weights).astype(np.uint16)


def after(history: History, bars: Sequence[Bar]) -> History:
    """A history with more bars at its end, no longer than HISTORY_BARS."""
    return (*history, *bars)[-HISTORY_BARS:]
