"""Recall: what memory says while a song is being played, note by note.

The same answers as engines.notes.memory gives for a whole piece at once, which training reads; tests hold the two
together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import DURATION, OFFSET, PITCH, ROLE, STEP, VELOCITY
from engines.notes.memory import (
    BARS_BACK,
    END_CANDIDATE,
    MATCH_LENGTHS,
    NO_CANDIDATE,
    NO_PITCH,
    NO_REFERENCE,
)
from engines.notes.roles import DRUMS

Row: TypeAlias = tuple[int, ...]
"""A row of Events; its bar means nothing here."""

Values: TypeAlias = tuple[int, int, int, int]

BARS_KEPT = 64
"""Bars that are remembered."""

_NOTHING_BEFORE = 200


@dataclass(slots=True)
class _Bar:
    """A bar: its notes in canonical order with their places, and where each role's notes at a step begin."""

    rows: list[Row] = field(default_factory=list)
    keys: list[tuple[int, int, int]] = field(default_factory=list)
    chords: dict[tuple[int, int], list[Row]] = field(default_factory=dict)


@dataclass(slots=True)
class _Element:
    """A bar's row (row is None) or a note: what it is in each of the two ways, and who played what before it."""

    row: Row | None
    tokens: tuple[tuple[int, ...], tuple[int, ...]]
    before: Row | None


class Recall:
    """The latest bars of a song, and where in them the same notes stood before."""

    def __init__(self) -> None:
        self._bars: deque[_Bar] = deque()
        self._elements: deque[_Element] = deque()
        self._first = 0  # number of the oldest element that is kept
        self._latest: dict[int, Row] = {}
        self._tables: tuple[defaultdict[tuple[tuple[int, ...], ...], deque[int]], ...] = tuple(
            defaultdict(deque) for _ in range(2)
        )

    def bar(self) -> None:
        """A bar begins."""
        if len(self._bars) == BARS_KEPT:
            self._forget_bar()
        self._bars.append(_Bar())
        self._add(_Element(None, ((), ()), None))

    def note(self, row: Row) -> None:
        """A note of the bar stands; rows come in canonical order."""
        bar, role, pitch = self._bars[-1], row[ROLE], row[PITCH]
        before = self._latest.get(role)
        key = (row[STEP], role, pitch)
        interval = pitch if role == DRUMS else pitch - before[PITCH] + 1000 if before else _NOTHING_BEFORE
        bar.rows.append(row)
        bar.keys.append(key)
        bar.chords.setdefault(key[:2], []).append(row)
        self._latest[role] = row
        self._add(_Element(row, (key, (row[STEP], role, interval)), before))

    def rewind(self, bars: int, notes: int = 0) -> None:
        """Take back all but the first so many of the bars kept, and of the last of them all but so many notes."""
        while len(self._bars) > bars or (self._bars and len(self._bars) == bars and len(self._bars[-1].rows) > notes):
            self._take_back()

    @property
    def bars(self) -> int:
        """Bars that are kept."""
        return len(self._bars)

    def candidates(self) -> tuple[list[Values], tuple[int, int]]:
        """What may come next, and the classes of how long the two matches are; see engines.notes.memory.Sequence."""
        bar = self._bars[-1]
        here = bar.keys[-1] if bar.keys else (-1, 0, 0)
        found: list[Values] = []
        for back in BARS_BACK:
            if len(self._bars) <= back:
                found.append(NO_CANDIDATE)
                continue
            past = self._bars[-1 - back]
            at = bisect_right(past.keys, here)
            found.append(_values(past.rows[at]) if at < len(past.rows) else END_CANDIDATE)
        lengths = []
        for kind in (0, 1):
            before, length = self._match(kind)
            found.append(self._continued(before, kind) if before is not None else NO_CANDIDATE)
            lengths.append(length)
        return found, (lengths[0], lengths[1])

    def references(self, step: int, role: int) -> list[Values]:
        """Pitch, duration, velocity, offset of what a role played before, if it plays at a step now."""
        rank = len(self._bars[-1].chords.get((step, role), ()))
        found: list[Values] = []
        for back in BARS_BACK:
            chord = self._bars[-1 - back].chords.get((step, role), ()) if len(self._bars) > back else ()
            found.append(_reference(chord[rank]) if rank < len(chord) else NO_REFERENCE)
        latest = self._latest.get(role)
        found.append(_reference(latest) if latest else NO_REFERENCE)
        return found

    def _add(self, element: _Element) -> None:
        number = self._first + len(self._elements)
        self._elements.append(element)
        for kind, table in enumerate(self._tables):
            for context in self._contexts(kind):
                table[context].append(number)

    def _contexts(self, kind: int) -> list[tuple[tuple[int, ...], ...]]:
        """The latest element with those before it, for each length of a match that there are enough of."""
        count = len(self._elements)
        reach = min(count, MATCH_LENGTHS[-1])
        tokens = tuple(self._elements[i - reach].tokens[kind] for i in range(reach))
        return [tokens[-length:] for length in MATCH_LENGTHS if length <= count]

    def _match(self, kind: int) -> tuple[int | None, int]:
        contexts, table = self._contexts(kind), self._tables[kind]
        for class_ in range(len(contexts), 0, -1):
            places = table[contexts[class_ - 1]]
            if len(places) > 1:
                return places[-2], class_
        return None, 0

    def _continued(self, before: int, kind: int) -> Values:
        row = self._elements[before + 1 - self._first].row
        if row is None:
            return END_CANDIDATE
        step, role, pitch, duration = _values(row)
        if kind == 1 and role != DRUMS:
            then = self._elements[before + 1 - self._first].before
            now = self._latest.get(role)
            moved = pitch + (now[PITCH] - then[PITCH] if now and then else 0)
            pitch = moved if 0 <= moved < NO_PITCH else pitch
        return step, role, pitch, duration

    def _take_back(self) -> None:
        number = self._first + len(self._elements) - 1
        for kind, table in enumerate(self._tables):
            for context in self._contexts(kind):
                places = table[context]
                if places and places[-1] == number:
                    places.pop()
                if not places:
                    del table[context]
        element = self._elements.pop()
        if element.row is None:
            self._bars.pop()
            return
        bar, role = self._bars[-1], element.row[ROLE]
        bar.rows.pop()
        key = bar.keys.pop()
        bar.chords[key[:2]].pop()
        if element.before is None:
            del self._latest[role]
        else:
            self._latest[role] = element.before

    def _forget_bar(self) -> None:
        """The oldest bar goes, with the contexts that begin in it."""
        gone = 1 + len(self._bars.popleft().rows)
        for kind, table in enumerate(self._tables):
            head = [self._elements[i].tokens[kind] for i in range(min(len(self._elements), gone + MATCH_LENGTHS[-1]))]
            for end in range(len(head)):
                for length in MATCH_LENGTHS:
                    if end + 1 >= length and end + 1 - length < gone:
                        context = tuple(head[end + 1 - length : end + 1])
                        places = table.get(context)
                        if places and places[0] == self._first + end:
                            places.popleft()
                            if not places:
                                del table[context]
        for _ in range(gone):
            self._elements.popleft()
        self._first += gone


def candidate_rows(found: list[Values]) -> NDArray[np.uint8]:
    """[1, CANDIDATES, 4], as Sequence has them."""
    return np.array([found], np.uint8)


def _values(row: Row) -> Values:
    return row[STEP], row[ROLE], row[PITCH], row[DURATION]


def _reference(row: Row) -> Values:
    return row[PITCH], row[DURATION], row[VELOCITY], row[OFFSET]
