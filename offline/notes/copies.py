"""Copies: how much of a piece stands in the music that a model learned from, in whatever key.

Notes are compared by place in the bar, seat and interval from the note before (drums by their pitch), not by length or
loudness. Real pieces that were held out, compared alike, say how much one piece of music holds of others anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import BAR, PITCH, ROLE, STEP, Events
from engines.notes.roles import DRUMS, ROLE_COUNT
from offline.csvfile import Cell
from offline.notes.automaton import Automaton
from offline.notes.models import Song

COPY_BARS = 4
COPY_NOTES = 16
"""A copy is so many bars in a row with all their notes, so many together at least."""
COPIES = f"copies_of_{COPY_BARS}_bars"
"""The column that says which share of pieces holds one."""
MOST_BARS = 7
"""Bars from one note to the next that are told apart."""

Line = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Symbols [N] of notes, and the bars [N] they stand in."""


@dataclass(frozen=True, slots=True)
class Run:
    """The longest run of notes of a piece that stands in one of the music read.

    notes: how many; bars: whole bars in the run of most bars that holds COPY_NOTES or more
    of:    which piece it stands in, as numbered by the order of reading; -1: in none
    """

    notes: int = 0
    bars: int = 0
    of: int = -1


def band(events: Events) -> list[Line]:
    """A piece as one line: all seats together."""
    return [(_symbols(events), events[:, BAR].astype(np.int64))]


def seats(events: Events) -> list[Line]:
    """The lines of each seat alone; drums, which share their patterns with everyone, are none."""
    parts = (events[events[:, ROLE] == role] for role in range(ROLE_COUNT) if role != DRUMS)
    return [(_symbols(part), part[:, BAR].astype(np.int64)) for part in parts if len(part)]


VIEWS: dict[str, Callable[[Events], list[Line]]] = {"the band": band, "a seat": seats}
"""What is compared with its like."""


def _symbols(events: Events) -> NDArray[np.int64]:
    """What each note is told apart by [N]."""
    rows = events.astype(np.int64)
    drum = rows[:, ROLE] == DRUMS
    interval = np.zeros(len(rows), np.int64)
    pitched = rows[~drum, PITCH]
    interval[~drum] = np.diff(pitched, prepend=pitched[:1]) + 128
    bars = np.minimum(np.diff(rows[:, BAR], prepend=rows[:1, BAR]), MOST_BARS)
    place = (bars * 64 + rows[:, STEP]) * ROLE_COUNT + rows[:, ROLE]
    symbols: NDArray[np.int64] = place * 512 + np.where(drum, rows[:, PITCH], interval)
    return symbols


def runs(pieces: Sequence[Events], learned: Iterable[Events], view: Callable[[Events], list[Line]]) -> list[Run]:
    """The longest run of each piece that stands in what was learned; of several lines the one with most notes."""
    lines = [(number, *line) for number, events in enumerate(pieces) for line in view(events)]
    automaton = Automaton([symbols.tolist() for _, symbols, _ in lines])
    for reader, events in enumerate(learned):
        for symbols, _ in view(events):
            automaton.read(symbols.tolist(), reader)
    found = [Run()] * len(pieces)
    for (number, _, bars), (lengths, readers) in zip(lines, automaton.matches(), strict=True):
        run = _longest(lengths, readers, bars)
        old = found[number]
        best = run if run.notes > old.notes else old
        found[number] = Run(best.notes, max(run.bars, old.bars), best.of)
    return found


def _longest(lengths: NDArray[np.int64], readers: NDArray[np.int64], bars: NDArray[np.int64]) -> Run:
    """Of a line: lengths, readers [N] as Automaton.matches gives them, bars [N] of its notes."""
    if not lengths.max(initial=0):
        return Run()
    begins, ends = np.flatnonzero(np.diff(bars, prepend=-1)), np.flatnonzero(np.diff(bars, append=-1))
    last = np.flatnonzero(lengths >= COPY_NOTES)
    # The interval to the first note of a run is from a note outside it: a bar that lacks only that note is whole.
    opening = np.searchsorted(begins, np.maximum(last - lengths[last], 0))
    closing = np.searchsorted(ends, last, side="right") - 1
    whole = closing >= opening
    count = bars[ends[closing[whole]]] - bars[begins[opening[whole]]] + 1
    longest = int(lengths.argmax())
    return Run(int(lengths[longest]), int(count.max(initial=0)), int(readers[longest]))


def copy_rows(made: Mapping[str, Sequence[Song]], learned: Sequence[Song]) -> list[dict[str, Cell]]:
    """Rows of copies.csv: of the pieces of each name, for each of VIEWS, how much stands in what was learned."""
    rows: list[dict[str, Cell]] = []
    pieces = [song for songs in made.values() for song in songs]
    for view, lines in VIEWS.items():
        found = iter(runs([song.events for song in pieces], (song.events for song in learned), lines))
        for name, songs in made.items():
            own = [next(found) for _ in songs]
            if not own:
                continue
            notes = np.array([run.notes for run in own])
            longest = own[int(notes.argmax())]
            rows.append({
                "pieces": name, "compared": view, "count": len(own), "bars_each": max(len(song.bars) for song in songs),
                "notes_each": float(np.mean([len(song.events) for song in songs])),
                "longest_run_median": float(np.median(notes)),
                "longest_run_p95": float(np.quantile(notes, 0.95)),
                "longest_run": longest.notes,
                "longest_run_of": learned[longest.of].path if longest.of >= 0 else "",
                COPIES: float(np.mean([run.bars >= COPY_BARS for run in own])),
            })  # fmt: skip
    return rows
