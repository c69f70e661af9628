"""The scheduler's queue: what is to come, in ticks, never in times, so that a tempo can be turned at any moment."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import IntEnum

from bridge.messages.stage import Outcome
from engines.music import LoopFile


class Order(IntEnum):
    """What comes first within a tick."""

    OFF = 0
    CONTROL = 1
    ON = 2


@dataclass(slots=True, eq=False)
class Entry:
    """A note-on, a note-off, or with Order.CONTROL a bar line or (without a bar) the end of what sounds.

    player: "" is everyone; part: see engines.music.Note; channel: 1-16, of a note that has left; reported: whether
    control hears of it, as it does not of a count-in's clicks. A dead entry stays in the queue and is passed over when
    its turn comes.
    """

    player: str
    tick: int
    song_tick: int = 0
    pitch: int = -1
    velocity: int = 0
    length: int = 0
    part: int = 0
    channel: int = 0
    bar: Bar | None = None
    reported: bool = True
    alive: bool = True


@dataclass(slots=True, eq=False)
class Bar:
    """A player's chunk for a bar. `entries` are its notes; `marker` is the bar line, until that is frozen or dropped.

    Then it is None: the stage runs without a garbage collector, and bar and bar line refer to each other.
    """

    epoch: int
    number: int
    chunk_id: int
    outcome: Outcome
    arrived_ns: int
    length_ticks: int = 0
    loop: LoopFile | None = None
    marker: Entry | None = None
    entries: list[Entry] = field(default_factory=list)
    dropped: int = 0

    def give_way(self, frozen_tick: int, from_tick: int) -> list[Entry]:
        """Drop what is still to come, and return what stays of that: the notes before the song tick from_tick."""
        if self.marker:
            self.marker.alive = False
            self.marker = None
        stay = [entry for entry in self.entries if entry.tick >= frozen_tick and entry.song_tick < from_tick]
        for entry in self.entries:
            entry.alive = entry in stay
        return stay


class Queue:
    """Entries by tick, order within the tick, and the sequence they came in."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Order, int, Entry]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, order: Order, entry: Entry) -> None:
        """Queue an entry at its tick."""
        self._sequence += 1
        heapq.heappush(self._heap, (entry.tick, order, self._sequence, entry))

    def pop(self, before_tick: int) -> tuple[Order, Entry] | None:
        """The next entry, if it lies before a tick."""
        tick = self.next_tick()
        if tick is None or tick >= before_tick:
            return None
        _, order, _, entry = heapq.heappop(self._heap)
        return order, entry

    def next_tick(self) -> int | None:
        """The tick of the next entry; None if there is none."""
        while self._heap and not self._heap[0][3].alive:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def purge(self, from_tick: int) -> None:
        """Drop what is to come from a tick on, but not the ends of notes: their beginnings have left."""
        for tick, order, _, entry in self._heap:
            if tick >= from_tick and order is not Order.OFF:
                entry.alive = False
                if entry.bar:
                    entry.bar.marker = None

    def clear(self) -> None:
        """Drop everything."""
        self._heap.clear()
