"""Listening: what is heard, as the music it becomes a part of: bars of history, seats that are taken, a chord."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engines.engine import Request
from engines.music import TICKS_PER_BEAT, Note
from engines.notes.grammar import Mask
from engines.notes.history import UNNAMED
from engines.notes.roles import ROLE_COUNT
from engines.notes.scales import chord_of

SEAT_BARS = 4
"""Bars for which a seat stays with the person who played in it last."""

CHORD_TICKS = 2 * TICKS_PER_BEAT
"""What was played last is the chord; where that is too little, the last bar is."""

Seats = tuple[int, ...]
"""Of each role: the number of the bar in which a person played it last."""

NOBODY: Seats = (-SEAT_BARS - 1,) * ROLE_COUNT


def seats_of(notes: Iterable[Note]) -> Mask:
    """Whose notes these are, bool [ROLE_COUNT]."""
    seats = np.zeros(ROLE_COUNT, bool)
    seats[[(note.part or UNNAMED) - 1 for note in notes]] = True
    return seats


def taken(seats: Seats, number: int) -> Mask:
    """The seats in which a person is, in bar `number`: bool [ROLE_COUNT]."""
    return number - np.array(seats) <= SEAT_BARS


def after(seats: Seats, number: int, notes: Iterable[Note]) -> Seats:
    """The seats when these notes were heard before bar `number`."""
    now = seats_of(notes)
    return tuple(number if now[role] else last for role, last in enumerate(seats))


def chord_heard(request: Request) -> tuple[int, int] | None:
    """The chord, root and index in QUALITIES, that was played last, by a person or else by the band; None of none."""
    for notes in (request.heard, request.band):
        pitched = [note for note in notes if note.part != 1]
        end_tick = max((note.tick + note.length for note in pitched), default=0)
        for span in (CHORD_TICKS, request.meter.bar_ticks):
            chord = chord_of(pitched, end_tick - span, end_tick)
            if chord is not None:
                return chord
    return None
