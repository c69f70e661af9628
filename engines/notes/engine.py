"""NotesEngine: bars of pitched music under the performer's hands, from any NoteModel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Self

import numpy as np

from engines.bundle import Bundle
from engines.engine import Played, Request
from engines.errors import BundleError, SidemanError
from engines.music import Phrase
from engines.notes.asked import Asked, NoteModel
from engines.notes.bar import written
from engines.notes.controls import CONTROL_CLASSES, DENSITY, controls_of
from engines.notes.events import PITCH
from engines.notes.grammar import Grammar, Until, silence, sounding
from engines.notes.history import HISTORY_BARS, History, Measure, moved, no_events, silent, with_heard
from engines.notes.leading import leading
from engines.notes.limits import limits_of
from engines.notes.listening import NOBODY, Seats, after, chord_heard, seats_of, taken
from engines.notes.parameters import (
    ACCOMPANY,
    FREE_CHORD,
    HEARD_CHORD,
    IGNORE,
    controls_asked,
    genres_asked,
    parameters_for,
    switched_on,
    told_of,
)
from engines.notes.scales import CHORDS
from engines.randomness import generator

VARY_HEAT = 1.25
"""What `vary` multiplies the temperature of its bar by."""
VARY_MEMORY = 0.5
"""And how much it goes by what was played before."""
REPEATED = 0.6
"""What each bar that was the one before it again multiplies that by. Hearing only itself, the model would now and then
stay in a loop; in the pieces that it learned from one pitched bar in a hundred is the one before it again."""
FILL_CLASSES = 2
"""Classes of density by which a fill is busier than what was asked, or than the bar before."""
MARGIN_S = 0.02
"""Of the time that there is, what is left for the way to the stage."""

UNKNOWN_TEMPO = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class NotesState:
    """What has been.

    history: the latest bars; number: of the bar to come, counted from the first
    until:   what sounds on; end_tick: of the song, where the last bar ended, or None
    chord:   the last that was heard; seats: where a person plays
    """

    history: History = ()
    number: int = 0
    until: Until = field(default_factory=silence)
    end_tick: int | None = None
    chord: tuple[int, int] | None = None
    seats: Seats = NOBODY


class NotesEngine:
    """Plays a bundle of notes: any roles, each note with its part (engines.notes.roles).

    The model hears what was played, by itself and by those it is told of. Every bar keeps the grammar.
    """

    parts = True
    """It is given a file's notes of all channels to go on from: docs/ENGINES.md, Several parts."""

    def __init__(self, model: NoteModel, now_s: Callable[[], float] = time.perf_counter) -> None:
        """now_s: the clock that the time left for a bar is counted on."""
        self.model = model
        self._now_s = now_s
        self.parameters = parameters_for(model.genres)

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto") -> Self:
        """See engines.engine.Engine.load; raises SidemanError without a bundle of a known kind."""
        if bundle is None:
            raise SidemanError("the engine notes needs a bundle, such as notes")
        return cls(load_model(bundle, runtime))

    def start(self, seed: int) -> NotesState:
        """An empty history."""
        return NotesState()

    def prime(self, history: Sequence[Played], seed: int) -> NotesState:
        """The state after bars that were played, and what was heard in them."""
        bars: History = ()
        until = silence()
        for played in history[-HISTORY_BARS:]:
            meter, length = played.meter, played.meter.bar_ticks
            bars = (*bars, *silent(meter, UNKNOWN_TEMPO))
            bars = with_heard(bars, moved((*played.phrase.notes, *played.band), -length), meter, UNKNOWN_TEMPO)
            until = sounding(until, played.phrase.notes, length)
        return NotesState(bars[-HISTORY_BARS:], len(bars), until)

    def generate(self, request: Request, state: NotesState) -> tuple[Phrase, NotesState]:
        """One bar of the request's metre; see engines.engine.Engine.generate."""
        due_s = self._now_s() + request.time_left_s - MARGIN_S
        state = having_heard(request, state)
        asked = replace(self._asked(request, state), left_s=lambda: due_s - self._now_s())
        if request.following is None:
            random = generator(request.seed, request.bar, request.take)
            bar = written(self.model, state.history, asked, request.meter, random)
        else:
            bar = leading(self.model, state.history, asked, request, request.following)
        phrase = Phrase.of(request.length_ticks, (note for note in bar.notes if note.tick < request.length_ticks))
        if bar.cut_tick is not None:
            phrase = Phrase(phrase.length, phrase.notes, cut_tick=min(bar.cut_tick, phrase.length))
        return phrase, replace(
            state,
            history=(*state.history, *bar.measures)[-HISTORY_BARS:],
            number=state.number + len(bar.measures),
            until=bar.until,
            end_tick=request.start_tick + request.length_ticks,
        )

    def _asked(self, request: Request, state: NotesState) -> Asked:
        """What is asked of the bar, all of it as one measure."""
        values, meter = request.parameters, request.meter
        word, accompanies = str(values["chord"]), values["follow"] == ACCOMPANY
        if word == FREE_CHORD and accompanies:  # left to itself the model does not follow the harmony of another
            word = HEARD_CHORD
        chord = None if word == FREE_CHORD else state.chord if word == HEARD_CHORD else CHORDS[word]
        here = taken(state.seats, state.number)
        may = switched_on(values) & ~(here & accompanies)
        controls = controls_asked(values, chord)
        if request.fill:
            controls[DENSITY] = busier(int(controls[DENSITY]), state.history)
        bar = Measure(
            meter.steps, meter.denominator, request.tempo_bpm, controls,
            told_of(may, here | seats_of(request.band)), no_events(),
        )  # fmt: skip
        return Asked(
            bar=bar,
            number=state.number,
            genres=genres_asked(values, self.model.genres),
            grammar=Grammar(limits_of(meter, values, may, chord), state.until),
            temperature=float(values["temperature"]) * (VARY_HEAT if request.vary else 1.0),
            top_p=float(values["top_p"]),
            top_k=int(values["top_k"]),
            memory=float(values["memory"])
            * (VARY_MEMORY if request.vary else 1.0)
            * REPEATED ** repeats(state.history),
        )


def having_heard(request: Request, state: NotesState) -> NotesState:
    """The state with what was heard since, where it was played: in the bars that were, or in those it kept silent."""
    heard = () if request.parameters["follow"] == IGNORE else request.heard
    others = (*heard, *request.band)
    meter, history, until = request.meter, state.history, state.until
    skipped = 0 if state.end_tick is None else max(0, request.start_tick - state.end_tick) // meter.bar_ticks
    reach = -min((note.tick for note in others), default=0)
    for _ in range(min(skipped, -(-reach // meter.bar_ticks))):
        history = (*history, *silent(meter, request.tempo_bpm))
        until = sounding(until, (), meter.bar_ticks)
    added = len(history) - len(state.history)
    history = with_heard(history, others, meter, request.tempo_bpm)
    number = max(state.number + added, len(history))
    seats = after(state.seats, number, heard)
    return replace(
        state, history=history, number=number, until=until, chord=chord_heard(request) or state.chord, seats=seats
    )


def repeats(history: History) -> int:
    """How many of the latest bars, in a row, were the one before them again."""
    count = 0
    for bar, before in pairwise(reversed(history)):
        if not len(bar.events) or not np.array_equal(bar.events[:, : PITCH + 1], before.events[:, : PITCH + 1]):
            break
        count += 1
    return count


def busier(asked: int, history: History) -> int:
    """The class of density of a fill: some above the one asked for, or above the last bar's own."""
    density = asked
    if not density and history:
        last = history[-1]
        density = int(controls_of(last.events, np.array([last.steps], np.int32))[0, DENSITY])
    return min(density + FILL_CLASSES, CONTROL_CLASSES[DENSITY] - 1)


def load_model(bundle: Bundle, runtime: str = "auto") -> NoteModel:
    """The NoteModel of a bundle. Raises BundleError for a kind this version does not know."""
    kind = bundle.manifest.kind
    if kind == "chain":
        from engines.notes.chain import ChainModel

        return ChainModel.load(bundle, runtime)
    if kind == "remi":
        from engines.notes.remi.model import RemiModel

        return RemiModel.load(bundle, runtime)
    raise BundleError(f"{bundle.path} holds a model of notes of kind {kind}; this version plays chain and remi")
