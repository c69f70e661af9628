"""Spans: the bars of a song, or the beats or half beats that a player plays piece by piece (the set's `chunk`)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from bridge.players.grid import BarGrid, BarSpan
from engines.music import Meter

SpanSize = Literal["bar", "beat", "half-beat"]
"""What a player plans, asks for and plays at a time."""


class Spans:
    """A grid cut into chunks, numbered from 0 through the song; with the chunk "bar" they are the bars.

    A beat is the one that is felt (engines.music.Meter.felt_beat_ticks): in 6/8 a dotted quarter. Bars begin with one.
    """

    def __init__(self, grid: BarGrid, chunk: SpanSize = "bar") -> None:
        self._grid = grid
        self._chunk = chunk

    def span(self, number: int) -> BarSpan:
        """The span of that number, 0 or more."""
        first, change = next(entry for entry in reversed(self._changes()) if entry[0] <= number)
        ticks = self._ticks(change.meter)
        start_tick = change.start_tick + (number - first) * ticks
        return BarSpan(number, start_tick, change.meter, ticks if ticks != change.meter.bar_ticks else 0)

    def span_at(self, song_tick: int) -> BarSpan:
        """The span that holds a song tick; the first one for ticks before the song."""
        tick = max(0, song_tick)
        first, change = next(entry for entry in reversed(self._changes()) if entry[1].start_tick <= tick)
        return self.span(first + (tick - change.start_tick) // self._ticks(change.meter))

    def bar(self, span: BarSpan) -> BarSpan:
        """The bar that a span is of, or is."""
        return self._grid.bar_at(span.start_tick)

    def bar_from(self, number: int) -> int:
        """The number of the first bar that begins with the span of that number or after it."""
        span = self.span(number)
        bar = self.bar(span)
        return bar.number + (bar.start_tick < span.start_tick)

    def _changes(self) -> list[tuple[int, BarSpan]]:
        """The bars at which the metre changes, each with the number of its first span."""
        changes = self._grid.changes
        first, found = 0, [(0, changes[0])]
        for before, change in pairwise(changes):
            first += (change.start_tick - before.start_tick) // self._ticks(before.meter)
            found.append((first, change))
        return found

    def _ticks(self, meter: Meter) -> int:
        match self._chunk:
            case "bar":
                return meter.bar_ticks
            case "beat":
                return meter.felt_beat_ticks
            case "half-beat":
                return meter.felt_beat_ticks // 2
