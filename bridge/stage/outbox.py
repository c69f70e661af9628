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
class Line:
    """The way to one output of a player.

    lead_ns: how far ahead it wants events; latency_ns: how much later than asked it sounds, made up for by asking
    earlier; clock: whether it gets MIDI clock
    """

    lead_ns: int = 0
    latency_ns: int = 0
    clock: bool = False

    @property
    def ahead_ns(self) -> int:
        """How long before its moment an event is handed over; negative: after it."""
        return self.lead_ns + self.latency_ns


@dataclass(frozen=True, slots=True)
class Pulse:
    """A message of MIDI clock: status 0xF8, FA, FB, FC, or F2 with two bytes of data."""

    player: str
    status: int
    data: tuple[int, ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Departure:
    """An event to hand to an output of its player now, by its number, or to REPORT.

    Its at_ns is what that output is to be told: earlier than the tick by the output's latency.
    """

    event: Event | Pulse
    output: int


class Outbox:
    """Events in, departures out, in order for each output."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Departure]] = []
        self._sequence = 0
        self._sounding: dict[tuple[str, int, int, int], Event] = {}

    def put(self, event: Event, lines: Sequence[Line], reported: bool = True) -> None:
        """An event for every output of its player, and for the report."""
        if reported:
            self._push(event.at_ns, Departure(event, REPORT))
        for output, line in enumerate(lines):
            told = structs.replace(event, at_ns=event.at_ns - line.latency_ns) if line.latency_ns else event
            self._push(event.at_ns - line.ahead_ns, Departure(told, output))

    def put_pulse(self, player: str, status: int, data: tuple[int, ...], at_ns: int, lines: Sequence[Line]) -> None:
        """A message of MIDI clock for the outputs of a player that get it."""
        for output, line in enumerate(lines):
            if line.clock:
                pulse = Pulse(player, status, data, at_ns - line.latency_ns)
                self._push(at_ns - line.ahead_ns, Departure(pulse, output))

    def due(self, now_ns: int) -> list[Departure]:
        """What has to be handed over by now."""
        departures = []
        while self._heap and self._heap[0][0] <= now_ns:
            departure = heapq.heappop(self._heap)[2]
            event = departure.event
            if isinstance(event, Event):
                key = (event.player, event.channel, event.pitch, departure.output)
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
        for (*_, output), on in self._sounding.items():
            length = max(now_tick - on.tick, 1)
            at_ns = max(now_ns, on.at_ns)
            off = structs.replace(on, tick=on.tick + length, song_tick=on.song_tick + length, velocity=0, at_ns=at_ns)
            ends.append(Departure(off, output))
        return ends

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._sounding.clear()

    def _push(self, at_ns: int, departure: Departure) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at_ns, self._sequence, departure))
