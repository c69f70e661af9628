"""Making a span: candidates side by side from where the stream is, and the one that lies best on the beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.audio import Frames
from engines.music import Meter
from engines.musicgen.bars import AFTER_S, Reach, sound_of, stretched_bar
from engines.musicgen.delay import Codes
from engines.musicgen.generator import Generator, Take
from engines.musicgen.grid import STRETCH_MAX, Lie, best_lie
from engines.musicgen.ladder import Work
from engines.musicgen.memory import Desk, Stream
from engines.musicgen.sampling import Settings
from engines.stretch import CONTEXT_S

AGAIN_S = 2.0
"""Of a stream that was made without guidance so much is heard again, with the text and without, when it comes back."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked for.

    wanted:     samples; fade: more of them, of what follows
    grid:       metre and ticks of a bar that is brought onto the beat, of several candidates; None: the next samples
    stretch:    it may be stretched
    offset_max: samples that its beginning may be put off, to the first downbeat
    """

    wanted: int
    fade: int
    grid: tuple[Meter, int] | None = None
    stretch: bool = False
    offset_max: int = 0

    def most(self, rate: int) -> int:
        """Samples of the stream that it may take, and look at."""
        spare = STRETCH_MAX * self.wanted + AFTER_S * rate if self.stretch else 0
        return self.wanted + round(spare) + self.offset_max + self.fade


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """frames: `wanted` samples; tail: `fade` more; stream, place: where it goes on; exact: nothing was stretched."""

    frames: Frames
    tail: Frames
    stream: Stream
    place: int
    exact: bool
    lie: Lie


@dataclass(frozen=True, slots=True)
class Spent:
    """What making took."""

    steps: int
    steps_s: float
    frames: int
    sound_s: float


class Maker:
    """Makes spans of streams. context: columns that a stream is cut to when its positions run out."""

    def __init__(self, desk: Desk, context: int, now_s: Callable[[], float]) -> None:
        self.desk, self.context = desk, context
        self.again = min(context, round(AGAIN_S * desk.model.shape.frame_rate_hz))
        self.reach = Reach(desk.model.shape)
        self._now_s = now_s

    def work(self, stream: Stream, place: int, span: Span) -> Work:
        """What a span takes."""
        shape = self.desk.model.shape
        most = span.most(shape.rate_hz)
        frames = most // shape.hop + shape.left + shape.right
        steps = max(0, self.reach.columns(place + most) - stream.reached)
        again = 0 if stream.guided else min(self.again, stream.columns.shape[1])
        return Work(span.wanted / shape.rate_hz, steps, frames, again)

    def made(
        self, stream: Stream, place: int, span: Span, takes: Sequence[Take], settings: Settings, *,
        steer_both: bool, due_s: float,
    ) -> tuple[Made | Stream, Spent]:  # fmt: skip
        """A span from sample `place` on; where it is not made by `due_s` of the clock, the stream as far as it got."""
        shape = self.desk.model.shape
        if settings.guidance != 1.0 and not stream.guided:
            stream = stream.cut(self.again, shape.vocabulary, shape.delays)
        generator = self.desk.opened(stream, takes, settings, steer_both)
        until, began_s = place + span.most(shape.rate_hz), self._now_s()
        generator, columns, steps = self._stepped(generator, self.reach.columns(until), due_s)
        stepped_s = self._now_s()
        if generator.reached < self.reach.columns(until):
            got = self.desk.left(generator, 0, stream, generator.reached)
            return got, Spent(steps, stepped_s - began_s, 0, 0.0)
        lead = min(place, round(CONTEXT_S * shape.rate_hz)) if span.stretch else 0
        best: tuple[Lie, int, Frames] | None = None
        for number in range(len(takes)):
            sound = sound_of(self.desk.model.codec, columns[number], stream.before, place - lead, until)
            lie = self._lie(sound[lead:], span)
            if best is None or lie.score > best[0].score:
                best = lie, number, sound
        assert best is not None  # noqa: S101  # there is at least one take
        lie, number, sound = best
        after = place + lie.offset + lie.count
        kept = max(stream.reached, self.reach.columns(after + span.fade))
        left = self.desk.left(generator, number, stream, kept)
        frames = self._cut(sound, lead + lie.offset, lie.count, span)
        frames_made = len(sound) // shape.hop + shape.left + shape.right
        spent = Spent(steps, stepped_s - began_s, frames_made, self._now_s() - stepped_s)
        exact = lie.count == span.wanted
        return Made(frames[: span.wanted], frames[span.wanted :], left, after, exact, lie), spent

    def _stepped(self, generator: Generator, reach: int, due_s: float) -> tuple[Generator, Codes, int]:
        """The generator that got there, all columns [takes, books, n] behind the stream's `before`, and the steps."""
        begun, pieces, first = generator.reached, [], 0
        while generator.reached < reach and self._now_s() < due_s:
            if not generator.room:
                pieces.append(generator.columns[:, :, first:])
                reached = generator.reached
                generator = generator.renewed(self.context)
                first = reached - generator.before
            generator.step()
        pieces.append(generator.columns[:, :, first:])
        return generator, np.concatenate(pieces, axis=2), generator.reached - begun

    def _lie(self, sound: Frames, span: Span) -> Lie:
        if span.grid is None:
            return Lie(0, span.wanted, 0.0)
        rate = self.desk.model.shape.rate_hz
        return best_lie(sound, rate, span.wanted, *span.grid, offset_max=span.offset_max, stretch=span.stretch)

    def _cut(self, sound: Frames, at: int, count: int, span: Span) -> Frames:
        if count == span.wanted:
            return sound[at : at + span.wanted + span.fade]
        rate = self.desk.model.shape.rate_hz
        return stretched_bar(sound, at, count, span.wanted, fade=span.fade, rate=rate)
