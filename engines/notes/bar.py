"""A bar from what is asked of it: written by a model, cut at a beat where time ran out, as notes and as history."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter, Note
from engines.notes.asked import Asked, NoteModel
from engines.notes.events import STEP
from engines.notes.grammar import Grammar, Until, bar_notes, sounding
from engines.notes.history import History, Measure, parts_of
from engines.notes.limits import beats_of


@dataclass(frozen=True, slots=True)
class WrittenBar:
    """A bar that a model has written.

    measures: as the history keeps it; notes: as it is played, in ticks from its start
    until:    what sounds after it; cut_tick: where it ends because there was no time for more, or None
    """

    measures: History
    notes: tuple[Note, ...]
    until: Until
    cut_tick: int | None = None


def written(model: NoteModel, history: History, asked: Asked, meter: Meter, random: np.random.Generator) -> WrittenBar:
    """The bar that a model makes of what is asked, whose limits and length are the whole bar's."""
    limits, until, beats = asked.grammar.limits, asked.grammar.until, beats_of(meter)
    measures, notes, first = list[Measure](), list[Note](), 0
    for steps in parts_of(meter):
        part = replace(
            asked,
            bar=replace(asked.bar, steps=steps),
            number=asked.number + len(measures),
            grammar=Grammar(limits.part(first, first + steps), until),
        )
        made = model.write((*history, *measures), part, random)
        events, cut = made.events, None
        if not made.complete:
            cut = _last_beat(beats, first + int(events[:, STEP].max(initial=0))) * STEP_TICKS
            events = events[events[:, STEP] < cut // STEP_TICKS - first]
        own = bar_notes(events)
        start = first * STEP_TICKS
        if cut is not None:
            own = ended(own, cut - start)
        measures.append(replace(part.bar, events=events))
        notes += [Note(n.tick + start, n.pitch, n.velocity, n.length, n.part) for n in own]
        until = sounding(until, own, steps * STEP_TICKS)
        first += steps
        if cut is not None:
            return WrittenBar(tuple(measures), tuple(notes), until, cut)
    return WrittenBar(tuple(measures), tuple(notes), until)


def ended(notes: tuple[Note, ...], tick: int) -> tuple[Note, ...]:
    """Notes that begin before a tick, none of which sounds on after it."""
    return tuple(
        Note(n.tick, n.pitch, n.velocity, min(n.length, tick - n.tick), n.part) for n in notes if n.tick < tick
    )


def _last_beat(beats: NDArray[np.int64], step: int) -> int:
    """The latest beat at or before a step: what is from there on is not whole."""
    return int(beats[beats <= step].max(initial=0))
