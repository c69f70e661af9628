"""Steering: a bar led to the density, polyphony, register and chord that were asked for, while it is written.

The model is told of them (engines.notes.controls) and may hardly listen. So what it says next leans, by a few nats, to
where the bar would come closer to what was asked: earlier or later moments, another note at this one, pitches near a
height or of a chord. It decides nothing: what the model finds impossible stays so, and the grammar masks as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import DENSITY, POLYPHONY, QUALITY, REGISTER, ROOT
from engines.notes.roles import BASS, DRUMS
from engines.notes.scales import chord_classes

Logits = NDArray[np.float32]

NOTES_A_BEAT = (0.35, 0.75, 1.5, 2.5, 3.5, 5.0, 7.5, 11.0)
TOGETHER = (1.0, 1.4, 1.9, 2.6, 3.5, 4.7, 6.2, 8.0)
HEIGHT = (40.0, 47.0, 52.5, 57.5, 62.5, 67.5, 73.0, 80.0)
"""What the classes 1 to 8 of density, polyphony and register stand for: the middles between their edges."""

NATS_A_STEP = 0.6
"""By which a moment a sixteenth later is less likely, when the bar is a beat's notes behind; or more, ahead of them."""
REACH = 6
"""Sixteenths over which that adds up."""
NATS_TOGETHER = 1.5
"""For or against one more note at a moment, for each that is missing or too many."""
SPREAD = 8.0
"""Semitones from the height at which a pitch is half a nat less likely; four times that at twice as far."""
NATS_CHORD = 1.0
"""For a pitch of the chord."""


class Steering:
    """The leaning of one bar. controls: its row; 0 in a column leaves that to the model."""

    def __init__(self, controls: NDArray[np.int32]) -> None:
        density, together, height = (int(controls[column]) for column in (DENSITY, POLYPHONY, REGISTER))
        self._density = NOTES_A_BEAT[density - 1] if density else None
        self._together = TOGETHER[together - 1] if together else None
        self._height = HEIGHT[height - 1] if height else None
        chorded = controls[ROOT] >= 2 and controls[QUALITY] >= 1
        self._chord = chord_classes(int(controls[ROOT]) - 2, int(controls[QUALITY]) - 1) if chorded else None
        self._count = self._here = 0  # pitched notes in the bar, and at the latest moment
        self._step = 0
        self._heights: list[int] = []

    def steps(self, logits: Logits, end: int) -> Logits:
        """Of the moment of the next note; end: sixteenths in the bar. The last of the logits is that the bar ends."""
        leaning = np.zeros(len(logits))
        distance = np.append(np.arange(len(logits) - 1), end) - self._step
        if self._density is not None:
            due = self._density * (self._step / 4 + 0.5)
            behind = np.clip((due - self._count) / max(self._density, 0.5), -1.5, 1.5)
            leaning -= NATS_A_STEP * behind * np.clip(distance, 0, REACH)
        if self._together is not None and self._here:
            leaning[self._step] += NATS_TOGETHER * np.clip(self._together - self._here - 0.5, -1.5, 1.5)
        return (logits + leaning).astype(np.float32)

    def pitches(self, logits: Logits, role: int) -> Logits:
        """Of a pitch of a role."""
        if role == DRUMS:
            return logits
        pitch = np.arange(len(logits))
        leaning = np.zeros(len(logits))
        if self._height is not None and role != BASS:
            off = self._height - np.mean(self._heights) if self._heights else 0.0
            leaning -= 0.5 * ((pitch - self._height - 0.5 * np.clip(off, -12, 12)) / SPREAD) ** 2
        if self._chord is not None:
            leaning += NATS_CHORD * self._chord[pitch % 12]
        return (logits + leaning).astype(np.float32)

    def wrote(self, note: Sequence[int]) -> None:
        """A note stands: its step, role, pitch and the rest."""
        step, role, pitch = note[:3]
        if step != self._step:
            self._step, self._here = step, 0
        if role != DRUMS:
            self._count += 1
            self._here += 1
        if role not in (DRUMS, BASS):
            self._heights.append(pitch)
