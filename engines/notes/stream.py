"""Stream: a song as the trunk of the chain model hears it, kept between bars (engines.notes.chain).

Elements go into the trunk's buffers (engines.runtime.context) and into recall: a bar costs its own notes, and what
changed in the bars before it. When the buffers are full the oldest elements go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Tensor
from engines.notes.controls import TEMPO_EDGES, band
from engines.notes.events import STEP, Events
from engines.notes.fields import BAR_FIELDS, DENOMINATORS, MEMORY_FIELDS, NOTE_FIELDS, PHRASE_BARS, Layout
from engines.notes.history import History, Measure
from engines.notes.recall import Recall
from engines.notes.tonality import Tonality
from engines.runtime import Graph
from engines.runtime.context import Context, Held

ELEMENT_FIELDS = NOTE_FIELDS + BAR_FIELDS + MEMORY_FIELDS

ROOM = 96
"""Elements that there is room for when a bar is opened."""
DROPPED = 128
"""Elements that go when the buffers are full."""

SLIDES = 2
"""Slides that can be taken back, when a bar from before them is asked for again: it is to be the same bar."""

WHOLE = 1 << 30
"""Notes in no bar: all of it."""

PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 1024, 4096)
"""Sixteenths of a full turn, of the heads that turn with musical time: beats and bars are whole turns."""


def turns(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radians a head of `size` turns by, [size / 2] each: for an element, and for a sixteenth of musical time."""
    half = size // 2
    chosen = np.array(PERIODS)[np.rint(np.linspace(0, len(PERIODS) - 1, half)).astype(int)]
    return 10_000.0 ** (-np.arange(half) / half), 2 * math.pi / chosen


@dataclass(frozen=True, slots=True)
class Heard:
    """A bar that a stream has heard: what it was, where it began in elements and in sixteenths, what sounded before."""

    measure: Measure
    index: int
    sixteenths: int
    tonality: Tonality


class Stream:
    """One genre's context: the bars heard so far, in the trunk's buffers and in recall."""

    def __init__(self, trunk: Graph, inputs: Iterable[Tensor], layout: Layout, heads: int, genre: int) -> None:
        """inputs: the trunk's; heads: of each of its layers; genre: that it is told, from 0, or -1 for none."""
        self.context = Context(trunk, inputs)
        self._layout, self._genre, self._heads = layout, genre, heads
        size = next(each.shape[-1] for each in inputs if each.name == "cos") * 2
        self._turns = turns(size)
        self.recall = Recall()
        self.tonality = Tonality()
        self._bars: list[Heard] = []  # those that recall keeps
        self._first = 0  # number of the first of them in the song
        self._index = 0  # elements heard
        self._slides: list[tuple[int, Held]] = []  # what the buffers held before elements went, after how many heard
        self._within = np.zeros(BAR_FIELDS, np.int32)  # what each note of the bar heard last is told
        self.hidden: NDArray[np.float32] = np.zeros((1, 0), np.float32)

    def open(self, history: History, bar: Measure, number: int) -> None:
        """Hear what is new in the history, up to the row of the bar that is to be written."""
        begin = number - len(history)
        same = self._agreeing(history, begin)
        if same is None:
            self._forget(begin)
            same = 0
        self._rewind(same)
        news = list(history[self._first + same - begin :])
        room = self.context.window - ROOM - 1
        kept = len(news)
        while kept and sum(1 + len(measure.events) for measure in news[len(news) - kept :]) > room:
            kept -= 1
        for measure in news[: len(news) - kept]:  # too far back for the trunk, not for recall
            self._remember(measure)
        if kept < len(news):
            self.context.length = 0
        if kept:
            self._hear(news[len(news) - kept :], number - kept, ROOM + 1)
        # Alone, as when the bar is asked for again: in int8 what is heard together is rounded together.
        self._hear([replace(bar, events=bar.events[:0])], number, ROOM)

    def note(self, row: Sequence[int]) -> None:
        """A note of the open bar stands."""
        heard = self._bars[-1]
        events = np.array([[0, *row]], np.int32)
        self._bars[-1] = replace(
            heard, measure=replace(heard.measure, events=np.concatenate([heard.measure.events, events]))
        )
        self.recall.note((0, *row))
        self._sounded(row)
        fields = np.zeros((1, 1, ELEMENT_FIELDS), np.int64)
        fields[0, 0, :NOTE_FIELDS] = self._layout.of_notes(events)
        fields[0, 0, NOTE_FIELDS:-MEMORY_FIELDS] = self._within
        fields[0, 0, -MEMORY_FIELDS:] = self._remembered()
        self._index += 1
        self._run(fields, np.array([heard.sixteenths + row[0]]), 0)

    def _agreeing(self, history: History, begin: int) -> int | None:
        """How many of the bars that were heard are in the history as they were; None if it is another song."""
        end = self._first + len(self._bars)
        if not self._bars or begin > end or begin + len(history) < self._first:
            return None
        for number in range(max(begin, self._first), end):
            if number - begin >= len(history) or not _alike(
                self._bars[number - self._first].measure, history[number - begin]
            ):
                return number - self._first
        return len(self._bars)

    def _forget(self, begin: int) -> None:
        self.recall, self.tonality, self._bars = Recall(), Tonality(), []
        self._first, self._index, self.context.length = begin, 0, 0
        self._slides.clear()

    def _rewind(self, bars: int) -> None:
        """Take back all bars but the first so many."""
        if bars == len(self._bars):
            return
        index = self._bars[bars].index
        self.recall.rewind(bars, WHOLE)
        while self._slides and self._slides[-1][0] > index:
            self._index, held = self._slides.pop()
            self.context.take(held)
        self.context.length = max(0, self.context.length - (self._index - index))
        self._index = index
        self.tonality = self._bars[bars].tonality
        del self._bars[bars:]

    def _remember(self, measure: Measure) -> NDArray[np.int32]:
        """Take a bar into recall: [1 + notes, MEMORY_FIELDS], what it says after each element."""
        self._begin(measure)
        said = [self._remembered()]
        for row in measure.events.tolist():
            self.recall.note(tuple(row))
            self._sounded(row[STEP:])
            said.append(self._remembered())
        self._index += len(said)
        return np.concatenate(said)

    def _sounded(self, note: Sequence[int]) -> None:
        """note: step, role, pitch, duration, ... of the bar begun last."""
        step, role, pitch, duration = note[:4]
        self.tonality = self.tonality.heard(self._bars[-1].sixteenths + step, role, pitch, duration)

    def _begin(self, measure: Measure) -> None:
        last = self._bars[-1] if self._bars else None
        start = last.sixteenths + last.measure.steps if last else 0
        self.recall.bar()
        self._bars.append(Heard(measure, self._index, start, self.tonality))
        while len(self._bars) > self.recall.bars:
            del self._bars[0]
            self._first += 1

    def _remembered(self) -> NDArray[np.int32]:
        candidates, lengths = self.recall.candidates()
        return self._layout.of_memory(np.array([candidates], np.uint8), np.array([lengths], np.uint8))

    def _hear(self, measures: list[Measure], number: int, room: int) -> None:
        """Hear bars, the first of which is the song's `number`, in one run of the trunk; room: see _run."""
        rows, times = [], []
        for i, measure in enumerate(measures):
            memory = self._remember(measure)
            fields = np.zeros((len(memory), ELEMENT_FIELDS), np.int64)
            bar = self._bar_fields(measure, number + i)
            self._within = self._layout.within(bar)
            fields[0, :BAR_FIELDS] = bar
            fields[1:, NOTE_FIELDS:-MEMORY_FIELDS] = self._within
            fields[1:, :NOTE_FIELDS] = self._layout.of_notes(measure.events)
            fields[:, -MEMORY_FIELDS:] = memory
            rows.append(fields)
            times.append(self._bars[-1].sixteenths + np.concatenate([[0], measure.events[:, STEP]]))
        self._run(np.concatenate(rows)[None], np.concatenate(times), room)

    def _bar_fields(self, measure: Measure, number: int) -> NDArray[np.int32]:
        known = measure.denominator in DENOMINATORS
        tempo = int(band(np.array([measure.tempo_bpm]), TEMPO_EDGES)[0]) if measure.tempo_bpm > 0 else 0
        denominator = DENOMINATORS.index(measure.denominator) + 1 if known else 0
        facts = np.array([[measure.steps, denominator, tempo, self._genre + 1, number % PHRASE_BARS]], np.int32)
        fields: NDArray[np.int32] = self._layout.of_bars(facts, measure.controls[None], measure.told[None])[0]
        return fields

    def _run(self, fields: NDArray[np.int64], sixteenths: NDArray[np.int64], room: int) -> None:
        """Let the trunk hear the latest elements, with room for so many more after them."""
        count, context = fields.shape[1], self.context
        missing = context.length + count + room - context.window
        if missing > 0:
            self._slides = [*self._slides[1 - SLIDES :], (self._index - count, context.held())]
            context.drop(0, min(context.length, max(missing, DROPPED)))
        cos, sin = self._turned(self._index - count + np.arange(count), sixteenths)
        (self.hidden,) = context.hear(count, fields=fields, cos=cos, sin=sin)

    def _turned(self, index: NDArray[np.int64], sixteenths: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """cos and sin [1, T, heads, size / 2]: the first half of the heads by index, the others by musical time."""
        by_index, by_time = self._turns
        half = self._heads // 2
        angle = np.concatenate(
            [
                np.repeat((index[:, None] * by_index)[:, None], half, 1),
                np.repeat((sixteenths[:, None] * by_time)[:, None], half, 1),
            ],
            1,
        )[None]
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _alike(one: Measure, other: Measure) -> bool:
    """Whether two measures are told to the model alike."""
    return one is other or (
        (one.steps, one.denominator) == (other.steps, other.denominator)
        and one.tempo_bpm == other.tempo_bpm
        and _same(one.events, other.events)
        and np.array_equal(one.controls, other.controls)
        and np.array_equal(one.told, other.told)
    )


def _same(one: Events, other: Events) -> bool:
    return one.shape == other.shape and bool((one[:, STEP:] == other[:, STEP:]).all())
