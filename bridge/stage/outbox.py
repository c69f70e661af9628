"""The outbox: events whose time is settled, each waiting until an output wants it; and what sounds at each of them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from bridge.messages.stage import Event

REPORT = -1
"""The output that is the report of what left, always at its moment."""


@dataclass(frozen=True, slots=True)
class Departure:
    """An event to hand to an output of its player now, by its number, or to REPORT."""

    event: Event
    output: int


class Outbox:
    """Events in, departures out, in order for each output."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Departure]] = []
        self._sequence = 0
        self._sounding: dict[tuple[str, int, int], Event] = {}

    def put(self, event: Event, leads_ns: Sequence[int]) -> None:
        """An event for every output of its player, to leave by each one's lead before its moment."""
        for output, lead_ns in ((REPORT, 0), *enumerate(leads_ns)):
            self._sequence += 1
            heapq.heappush(self._heap, (event.at_ns - lead_ns, self._sequence, Departure(event, output)))

    def due(self, now_ns: int) -> list[Departure]:
        """What has to be handed over by now."""
        departures = []
        while self._heap and self._heap[0][0] <= now_ns:
            departure = heapq.heappop(self._heap)[2]
            event = departure.event
            key = (event.player, event.pitch, departure.output)
            if event.velocity:
                self._sounding[key] = event
            else:
                self._sounding.pop(key, None)
            departures.append(departure)
        return departures

    def next_ns(self) -> int | None:
        """When something is due; None if nothing is here."""
        return self._heap[0][0] if self._heap else None

    def ends(self, now_ns: int, now_tick: int) -> list[Departure]:
        """The end of every note that an output was given and that still sounds there, to be sent at once."""
        ends = []
        for (_, _, output), on in self._sounding.items():
            length = max(now_tick - on.tick, 1)
            at_ns = max(now_ns, on.at_ns)
            off = structs.replace(on, tick=on.tick + length, song_tick=on.song_tick + length, velocity=0, at_ns=at_ns)
            ends.append(Departure(off, output))
        return ends

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._sounding.clear()
