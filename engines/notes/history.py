"""History: the bars that have been, as the model is told of them, with what was heard in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter, Note
from engines.notes.controls import CONTROL_CLASSES
from engines.notes.events import BAR, STEPS_MAX, Events, quantised
from engines.notes.grammar import NOTES_MAX
from engines.notes.roles import ROLE_COUNT, ROLE_NAMED

HISTORY_BARS = 64
"""Bars that are remembered."""

UNNAMED = ROLE_NAMED["piano"] + 1
"""Whose notes they are that come without a part: a keyboard's."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A bar, or a part of one that is longer than the model knows.

    steps, denominator: its sixteenths and its metre's denominator
    tempo_bpm: quarter notes a minute; 0: not known
    controls:  int32 [5] what was asked of it (engines.notes.controls)
    told:      int32 [ROLE_COUNT] what was said of each role: 0 nothing, 1 silent, 2 plays
    events:    its notes, whoever played them, as bar 0
    """

    steps: int
    denominator: int
    tempo_bpm: float
    controls: NDArray[np.int32]
    told: NDArray[np.int32]
    events: Events

    @property
    def ticks(self) -> int:
        """Its length."""
        return self.steps * STEP_TICKS


History = tuple[Measure, ...]
"""Oldest first, at most HISTORY_BARS."""


def no_events() -> Events:
    """No notes."""
    return np.zeros((0, 7), np.int32)


def parts_of(meter: Meter) -> list[int]:
    """Sixteenths of the measures that a bar is divided into, on its beats: one, if the model knows bars so long."""
    parts = -(-meter.steps // STEPS_MAX)
    beats = [-(-i * meter.numerator // parts) for i in range(parts + 1)]
    return [(end - start) * meter.beat_ticks // STEP_TICKS for start, end in pairwise(beats)]


def silent(meter: Meter, tempo_bpm: float) -> list[Measure]:
    """The measures of a bar in which nothing is, of which nothing was asked."""
    controls, told = np.zeros(len(CONTROL_CLASSES), np.int32), np.zeros(ROLE_COUNT, np.int32)
    return [Measure(steps, meter.denominator, tempo_bpm, controls, told, no_events()) for steps in parts_of(meter)]


def moved(notes: Iterable[Note], ticks: int) -> tuple[Note, ...]:
    """Notes later by so many ticks."""
    return tuple(Note(n.tick + ticks, n.pitch, n.velocity, n.length, n.part) for n in notes)


def events_in(notes: Iterable[Note], lengths: Sequence[int]) -> Events:
    """The events of notes in measures of so many sixteenths that end at tick 0; others are left out.

    notes: in ticks from the end of the last measure, so negative
    """
    starts = np.cumsum([0, *lengths]) - sum(lengths)
    first = int(starts[0]) * STEP_TICKS - STEP_TICKS // 2
    table = [(n.tick, (n.part or UNNAMED) - 1, n.pitch, n.velocity, n.length) for n in notes if n.tick >= first]
    columns = np.array(table, np.int64).reshape(-1, 5)
    return quantised(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3], columns[:, 4], starts * STEP_TICKS)


def joined(one: Events, other: Events) -> Events:
    """The events of both, in canonical order; of two at one place and pitch the longer."""
    rows = np.concatenate([one, other])
    order = np.lexsort((-rows[:, 4], rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))
    rows = rows[order]
    same = (rows[1:, :4] == rows[:-1, :4]).all(1)
    kept: Events = rows[np.append(True, ~same)[: len(rows)]]
    return kept


def with_heard(history: History, notes: Iterable[Note], meter: Meter, tempo_bpm: float) -> History:
    """A history with what others played put where it was played, in ticks from its end; it reaches as far as they do.

    However much is played, a measure has no more than NOTES_MAX notes.
    meter, tempo_bpm: of the bars that are put before it if it is shorter than that
    """
    kept = [note for note in notes if note.tick < 0]
    if not kept:
        return history
    reach = -min(note.tick for note in kept)
    bars = list(history)
    while sum(bar.ticks for bar in bars) < reach and len(bars) < HISTORY_BARS:
        bars = [*silent(meter, tempo_bpm), *bars]
    bars = bars[-HISTORY_BARS:]
    events = events_in(kept, [bar.steps for bar in bars])
    for number in np.unique(events[:, BAR]).tolist():
        own = events[events[:, BAR] == number]
        own[:, BAR] = 0
        bars[number] = replace(bars[number], events=joined(bars[number].events, own)[:NOTES_MAX])
    return tuple(bars)
