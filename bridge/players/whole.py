"""Whole: the spans of a bar put together, for those who watch bars."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from bridge.players.grid import BarGrid
from bridge.players.policy import BarReport
from bridge.players.response import Response
from bridge.terminal.view import WANTED, ShownBar
from engines.music import Note, Phrase


class Whole:
    """One player's bars as they become whole: with the last span of each. What is a bar already stays as it is."""

    def __init__(self, grid: BarGrid) -> None:
        self._grid = grid
        self._bar = -1
        self._notes: list[Note] = []
        self._worst: BarReport | None = None

    def add(self, report: BarReport) -> BarReport | None:
        """A span has begun: its bar, if it is the last of it, with how its worst span came about; else None."""
        span = report.span
        if not span.part_ticks:
            return report
        bar = self._grid.bar_at(span.start_tick)
        if bar.number != self._bar:
            self._bar, self._notes, self._worst = bar.number, [], None
        into = span.start_tick - bar.start_tick
        self._notes += [structs.replace(note, tick=note.tick + into) for note in report.phrase.notes]
        if self._worst is None or self._worst.outcome in WANTED:
            self._worst = report
        if span.end_tick < bar.end_tick:
            return None
        phrase = Phrase.of(bar.length_ticks, self._notes)
        worst = self._worst
        return replace(report, span=bar, phrase=phrase, outcome=worst.outcome, headroom=worst.headroom)


def shown(whole: BarReport, tempo_bpm: float, response: Response) -> ShownBar:
    """A bar as the view shows it."""
    last_ms, _, _, changes = response.figures_ms()
    return ShownBar(
        player=whole.player,
        bar=whole.span.number,
        meter=whole.span.meter,
        tempo_bpm=tempo_bpm,
        notes=whole.phrase.notes,
        outcome=whole.outcome,
        headroom=whole.headroom,
        counts=whole.counters.counts(),
        response_ms=last_ms if changes else None,
    )
