"""Events: notes as the model sees them, one row of small integers each, and bars as it is told of them.

A note is one step of the model: where in the bar, who, which pitch, how long, how loud, how far off the grid
(docs/MODELS.md, notes). Twenty-four places a beat: sixteenths, and an offset of up to three twenty-fourths of a beat,
so that triplets and swing are exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter, Note
from engines.notes.roles import DRUMS

Events = NDArray[np.int32]
"""[N, 7] in canonical order: rows sorted by bar, step, role, pitch; no two of one bar, step, role and pitch."""

Bars = NDArray[np.int32]
"""[B, 3] of a piece's bars: sixteenths in it (1 to STEPS_MAX), denominator of its metre, tempo in bpm."""

BAR, STEP, ROLE, PITCH, DURATION, VELOCITY, OFFSET = range(7)
"""Columns of Events: bar counts from 0 in the piece; step 0 to STEPS_MAX - 1; role in engines.notes.roles.ROLES; pitch
0-127 (of the drum map for drums); duration, velocity and offset are classes of the tables below."""

STEPS_MAX = 32
"""Sixteenths in the longest bar: 8/4."""
BAR_END = STEPS_MAX
"""The class of `step` that says: no more notes in this bar."""

DURATIONS = (*range(1, 33), 40, 48, 56, 64)
"""Sixteenths of each class of duration. Drums are always class 0: how long a drum is held means nothing."""
OFFSET_TICKS = 40
OFFSETS = (-3, -2, -1, 0, 1, 2)
"""Twenty-fourths of a beat off the sixteenth, of each class of offset."""
ON_GRID = 3
VELOCITIES = 9
"""Class 0: not known; classes 1-8: 1-16, 17-32, ... 113-127."""

_DURATION_CLASS = np.abs(np.arange(1, 65)[:, None] - np.array(DURATIONS)[None, :]).argmin(1).astype(np.int32)


def quantised(  # noqa: PLR0917 - the columns of a table of notes, in its order
    ticks: NDArray[np.int64],
    role: NDArray[np.int64],
    pitch: NDArray[np.int64],
    velocity: NDArray[np.int64],
    length: NDArray[np.int64],
    bar_starts: NDArray[np.int64],
) -> Events:
    """Events of notes given in ticks, 960 a beat.

    ticks, role, pitch, velocity (0: not known), length: [N] of each note, in any order.
    bar_starts: [B + 1] first tick of each bar, multiples of a sixteenth, and the end of the last.
    A note before the first bar is put on its first step, one at or after the end is left out; of two that are equal in
    bar, step, role and pitch the longer stays.
    """
    fine = (ticks * 2 + OFFSET_TICKS) // (2 * OFFSET_TICKS)
    step = np.maximum((fine + 3) // 6, bar_starts[0] // STEP_TICKS)
    offset = np.clip(fine - 6 * step, -3, 2) + ON_GRID
    starts = bar_starts // STEP_TICKS
    inside = step < starts[-1]
    bar = np.searchsorted(starts, step, side="right") - 1
    steps = np.clip((length + STEP_TICKS // 2) // STEP_TICKS, 1, 64)
    duration = np.where(role == DRUMS, 0, _DURATION_CLASS[steps - 1])
    loud = np.where(velocity > 0, np.minimum(velocity, 127) // 16 + 1, 0)
    rows = np.stack([bar, step - starts[np.clip(bar, 0, None)], role, pitch, duration, loud, offset], 1)[inside]
    order = np.lexsort((-rows[:, DURATION], rows[:, PITCH], rows[:, ROLE], rows[:, STEP], rows[:, BAR]))
    rows = rows[order]
    same = (rows[1:, :DURATION] == rows[:-1, :DURATION]).all(1)
    kept: Events = rows[np.concatenate([[True], ~same])[: len(rows)]].astype(np.int32)
    return kept


def velocity_of(velocity_class: int) -> int:
    """The middle of a class of velocity, 1-127; 80 for class 0."""
    return 16 * (velocity_class - 1) + 8 if velocity_class else 80


def notes_of(rows: Events) -> tuple[Note, ...]:
    """The notes of one bar's events, in ticks from its first; `part` is the role's number plus 1."""
    return tuple(
        Note(
            tick=int(row[STEP]) * STEP_TICKS + OFFSETS[row[OFFSET]] * OFFSET_TICKS,
            pitch=int(row[PITCH]),
            velocity=velocity_of(int(row[VELOCITY])),
            length=STEP_TICKS * (1 if row[ROLE] == DRUMS else DURATIONS[row[DURATION]]),
            part=int(row[ROLE]) + 1,
        )
        for row in rows
    )


def events_of(meter: Meter, notes: Sequence[Note]) -> Events:
    """The events of one bar's notes, the reverse of notes_of (notes without a part are left out), as bar 0."""
    table = np.array([(n.tick, n.part - 1, n.pitch, n.velocity, n.length) for n in notes if n.part], np.int64).reshape(
        -1, 5
    )
    ticks, role, pitch, velocity, length = table.T
    return quantised(ticks, role, pitch, velocity, length, np.array([0, meter.steps * STEP_TICKS]))
