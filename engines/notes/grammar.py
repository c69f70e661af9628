"""Grammar: which step, role, pitch, duration, velocity and offset a note may have; only valid bars can be sampled.

A mask for each of the model's heads, from what the performer allows (Limits), what still sounds, and the note that was
written last. Whatever the probabilities are, and at any temperature, a bar comes out in canonical order
(engines.notes.events), no pitch of a role begins before it has ended, and no more notes sound at once than may.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Note
from engines.notes.events import (
    BAR_END,
    DURATIONS,
    OFFSET,
    OFFSET_TICKS,
    OFFSETS,
    ON_GRID,
    PITCH,
    ROLE,
    STEP,
    VELOCITIES,
    Events,
    notes_of,
)
from engines.notes.roles import DRUMS, ROLE_COUNT

PITCHES = 128
HIT_TICKS = STEP_TICKS // 2
"""How long a drum is held."""

NOTES_MAX = 256
"""Notes of the longest bar: more than any hand or computer of ours plays, and an end to a model that has none."""

_OFFSET_TICKS = np.array(OFFSETS) * OFFSET_TICKS

Mask = NDArray[np.bool_]
Until = NDArray[np.int32]
"""[ROLE_COUNT, 128]: the tick, from the bar's first, at which each pitch of each role has ended; below 0: before it."""


def silence() -> Until:
    """Nothing sounds."""
    return np.full((ROLE_COUNT, PITCHES), -STEP_TICKS, np.int32)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the performer allows in one bar.

    may:    bool [steps of the bar, ROLE_COUNT, 128]: a note of this role and pitch may be written on this step
    voices: int [ROLE_COUNT]: notes of a role that may sound at once
    total:  notes of all roles together but the drums that may sound at once
    """

    may: Mask
    voices: NDArray[np.int64]
    total: int = NOTES_MAX

    @property
    def steps(self) -> int:
        """Sixteenths in the bar."""
        return len(self.may)

    def part(self, first: int, end: int) -> Limits:
        """Those of the steps from first to before end."""
        return replace(self, may=self.may[first:end])


@dataclass(frozen=True)
class Grammar:
    """A bar that is being written: its limits, what sounds, the last note's step, role and pitch, how many there are.

    Each of its masks has a True, given values that the masks before it allowed. `wrote` is the grammar after a note.
    """

    limits: Limits
    until: Until
    step: int = 0
    role: int = 0
    pitch: int = -1
    count: int = 0

    def steps(self) -> Mask:
        """The steps that a note may still be on, and the bar's end: bool [BAR_END + 1]."""
        mask = np.zeros(BAR_END + 1, bool)
        mask[BAR_END] = True
        if self.count < NOTES_MAX:
            mask[self.step : self.limits.steps] = self._free.any((1, 2))
        return mask

    def roles(self, step: int) -> Mask:
        """Who may play on a step: bool [ROLE_COUNT]."""
        mask: Mask = self._free[step - self.step].any(1)
        return mask

    def pitches(self, step: int, role: int) -> Mask:
        """What a role may play on a step: bool [128]."""
        mask: Mask = self._free[step - self.step, role]
        return mask

    def durations(self, role: int) -> Mask:
        """How long a role's notes may be: bool [classes of duration]. Any, but drums are always class 0."""
        mask = np.ones(len(DURATIONS), bool)
        if role == DRUMS:
            mask[1:] = False
        return mask

    def velocities(self) -> Mask:
        """How loud: bool [VELOCITIES]. A note that sounds has a velocity; class 0 is for data that do not say it."""
        mask = np.ones(VELOCITIES, bool)
        mask[0] = False
        return mask

    def offsets(self, step: int, role: int, pitch: int) -> Mask:
        """How far off the grid: bool [classes of offset]. Not so early that it would begin in what still sounds."""
        onsets = step * STEP_TICKS + _OFFSET_TICKS
        mask: Mask = onsets >= self.until[role, pitch]
        mask &= (self.until[role] > onsets[:, None]).sum(1) < self.limits.voices[role]
        if role != DRUMS:
            mask &= (self.until[DRUMS + 1 :] > onsets[:, None, None]).sum((1, 2)) < self.limits.total
        return mask

    def wrote(self, row: NDArray[np.int32]) -> Grammar:
        """After a note, a row of Events."""
        step, role, pitch = int(row[STEP]), int(row[ROLE]), int(row[PITCH])
        (note,) = bar_notes(row[None, :])
        until = self.until.copy()
        until[role, pitch] = note.tick + note.length
        return replace(self, until=until, step=step, role=role, pitch=pitch, count=self.count + 1)

    @cached_property
    def _free(self) -> Mask:
        """[steps from the last note's on, ROLE_COUNT, 128]: what may be written, on the grid at least."""
        ticks = np.arange(self.step, self.limits.steps, dtype=np.int32)[:, None, None] * STEP_TICKS
        sounds = self.until > ticks
        free = self.limits.may[self.step :] & ~sounds
        voices = sounds.sum(2)
        free &= (voices < self.limits.voices)[:, :, None]
        free[voices[:, DRUMS + 1 :].sum(1) >= self.limits.total, DRUMS + 1 :] = False
        free[0, : self.role] = False
        free[0, self.role, : self.pitch + 1] = False
        return free


def bar_notes(rows: Events) -> tuple[Note, ...]:
    """The notes of a bar's events as they are played: a late one ends where it would if it were on the grid.

    So the next of its pitch may be on the grid, however long the model holds it; drums are struck, not held.
    """
    notes = []
    for row, note in zip(rows, notes_of(rows), strict=True):
        late = max(int(row[OFFSET]) - ON_GRID, 0) * OFFSET_TICKS
        length = HIT_TICKS if row[ROLE] == DRUMS else note.length - late
        notes.append(Note(note.tick, note.pitch, note.velocity, length, note.part))
    return tuple(notes)


def sounding(until: Until, notes: tuple[Note, ...], bar_ticks: int) -> Until:
    """What sounds when a bar of these notes is over, in ticks from the next; notes without a part are left out."""
    result = until.copy()
    for note in notes:
        if note.part:
            result[note.part - 1, note.pitch] = max(result[note.part - 1, note.pitch], note.tick + note.length)
    return np.maximum(result - bar_ticks, -STEP_TICKS).astype(np.int32)
