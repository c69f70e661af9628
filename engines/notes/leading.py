"""Leading: a bar between two, when the one after it is known already."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engines.engine import Request
from engines.music import Note, Phrase
from engines.notes.asked import Asked, NoteModel
from engines.notes.bar import WrittenBar, written
from engines.notes.history import History, moved, silent, with_heard
from engines.randomness import generator
from engines.sampling import pick

PROPOSALS = 8
"""Bars that are written, if there is time for them, to choose one."""
CHOICE_STREAM = PROPOSALS
TIME_SHARE = 0.5
"""Of the time that there is, for proposals: until the bar is there the player answers to nothing else."""
END = 1 << 30


def leading(model: NoteModel, history: History, asked: Asked, request: Request, following: Phrase) -> WrittenBar:
    """The bar that is asked for: of some that go on from the history, one that leads to the bar `following`.

    Sampling and importance resampling (Rubin 1987): p(bar | before, after) is in proportion to p(bar | before), from
    which the proposals come, times p(after | before, bar), by which one is drawn.
    """
    meter, tempo_bpm = request.meter, request.tempo_bpm
    after = with_heard(tuple(silent(meter, tempo_bpm)), moved(following.notes, -following.length), meter, tempo_bpm)
    proposals, nats = list[WrittenBar](), list[float]()
    begun_s = asked.left_s()
    enough_s = begun_s * (1.0 - TIME_SHARE)
    for stream in range(PROPOSALS):
        random = generator(request.seed, request.bar, request.take, stream)
        bar = written(model, history, asked, meter, random)
        if bar.cut_tick is not None:
            proposals = proposals or [bar]
            break
        proposals.append(bar)
        nats.append(_likelihood(model, (*history, *bar.measures), after, asked))
        left_s = asked.left_s()
        if begun_s != math.inf and left_s - (begun_s - left_s) / (stream + 1) < enough_s:
            break
    chosen = proposals[0]
    if len(proposals) > 1:
        weights = np.exp(np.array(nats) - max(nats))
        chosen = proposals[pick(weights, generator(request.seed, request.bar, request.take, CHOICE_STREAM).random())]
    return replace(chosen, notes=_making_way(chosen.notes, following))


def _likelihood(model: NoteModel, history: History, after: History, asked: Asked) -> float:
    """Nats of the bars after."""
    total, number = 0.0, asked.number + 1
    for measure in after:
        told = replace(measure, controls=asked.bar.controls, told=asked.bar.told)
        total += model.score(history, replace(asked, bar=told, number=number))
        history, number = (*history, told), number + 1
    return total


def _making_way(notes: tuple[Note, ...], following: Phrase) -> tuple[Note, ...]:
    """Notes ended where the bar after strikes the same pitch again."""
    first = {(note.part, note.pitch): note.tick + following.length for note in sorted(following.notes, reverse=True)}
    return tuple(
        Note(n.tick, n.pitch, n.velocity, min(n.length, max(1, first.get((n.part, n.pitch), END) - n.tick)), n.part)
        for n in notes
    )
