"""JACK's transport: a server's programs start, stop and move together; one of them may say bar, beat and tempo.

Without such a timebase master there are only frames: then the tempo is ours, and beat 0 is frame 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bridge.messages.message import Trouble
from bridge.messages.sync import SourcePlays, SourceStops, SyncKind
from bridge.stage.midi.jack_client import JackClient, shared_client
from bridge.stage.rack import Rack
from bridge.timing.clock import ClockMap, read_together
from bridge.timing.jack_clock import NS_PER_UNIT, jack_clock
from bridge.timing.sync.source import Reference, SourceEvent, SourceStatus
from bridge.timing.timeline import TEMPO_MAX_MBPM, TEMPO_MIN_MBPM
from engines.music import TICKS_PER_BEAT

BBT_VALID = 0x10
"""JackPositionBBT: bar, beat, tick and tempo are set."""

JUMP_TICKS = TICKS_PER_BEAT // 2
"""A step of more than this while it rolls is somebody who went elsewhere; a lost cycle is less."""

RETRY_NS = 1_000_000_000


class Positions:
    """Ticks of ours for frames of the transport: from bar, beat and tick where they are told, exact between them.

    JACK's ticks are whole numbers, cut off: where our count has to lie follows from many of them.
    """

    def __init__(self, tempo_mbpm: int, rate: int) -> None:
        self.tempo_mbpm = tempo_mbpm
        self.led = False  # by a timebase master
        self._rate = rate
        self._frame = 0
        self._tick = 0.0

    def tick(self, frame: int) -> float:
        """The tick at a frame."""
        return self._tick + (frame - self._frame) * self.tempo_mbpm * TICKS_PER_BEAT / (60_000 * self._rate)

    def turn(self, tempo_mbpm: int, frame: int) -> None:
        """The tempo from a frame on."""
        self._tick, self._frame, self.tempo_mbpm = self.tick(frame), frame, tempo_mbpm

    def told(self, position: Any) -> None:
        """Take in what the transport says (a jack_position_t)."""
        self.led = bool(position.valid & BBT_VALID) and position.ticks_per_beat >= 1 and position.beat_type >= 1
        if not self.led:
            return
        in_quarters = 4 / position.beat_type
        tempo_mbpm = round(position.beats_per_minute * in_quarters * 1000)
        if tempo_mbpm != self.tempo_mbpm and tempo_mbpm > 0:
            self.turn(tempo_mbpm, position.frame)
        beats = (position.bar - 1) * position.beats_per_bar + position.beat - 1
        low = (beats + position.tick / position.ticks_per_beat) * in_quarters * TICKS_PER_BEAT
        high = low + in_quarters * TICKS_PER_BEAT / position.ticks_per_beat
        here = self.tick(position.frame)
        if not low - JUMP_TICKS < here < high + JUMP_TICKS:
            self._tick, self._frame = low, position.frame
        else:
            self._tick += max(low - here, 0.0) + min(high - here, 0.0)


class JackTransport:
    """Follows JACK's transport, and survives the server."""

    kind: SyncKind = "jack"
    tolerance_ns = 100_000

    def __init__(self, tempo_mbpm: int, rack: Rack) -> None:
        self._tempo_mbpm = tempo_mbpm
        self._rack = rack
        self._client: JackClient | None = None
        self._jack_us: Callable[[], int] = lambda: 0
        self._us: ClockMap | None = None
        self._frames: ClockMap | None = None
        self._positions = Positions(tempo_mbpm, 48_000)
        self._last = (0, 0)  # frame, and when
        self._rolling = False
        self._lost = False
        self._next_try_ns = 0

    def open(self) -> str:
        """Become a client of the server. Raises SidemanError when none runs."""
        self._client = shared_client(self._rack)
        self._jack_us = jack_clock()
        self._begin()
        return "JACK transport: its start, stop and position are ours"

    def poll(self, now_ns: int) -> list[SourceEvent]:
        """Where the transport is while it rolls; whether it was started, stopped or moved."""
        client = self._client
        if client is None:
            return []
        if client.lost or self._lost:
            return self._away(client, now_ns)
        import jack

        try:
            state, position = client.jack.transport_query_struct()
        except jack.JackError:
            return []
        if self._us is None:
            return []
        self._us.observe(*read_together(self._jack_us))
        if state != jack.ROLLING:
            stopped, self._rolling = self._rolling, False
            self._positions.told(position)
            return [SourceStops(now_ns)] if stopped else []
        return self._rolls(position, now_ns)

    def set_tempo(self, tempo_mbpm: int, now_ns: int) -> bool:
        """The tempo, where no timebase master has one."""
        if self._positions.led:
            return False
        self._positions.turn(tempo_mbpm, self._last[0] if self._rolling else 0)
        return True

    def play(self, position_tick: int, at_ns: int) -> None:
        """The transport is started where it is kept, not from here."""

    def stop(self, at_ns: int) -> None:
        """See play."""

    def state(self) -> SourceStatus:
        """Locked while it rolls, or while a timebase master tells the tempo."""
        locked = not self._lost and (self._rolling or self._positions.led)
        return SourceStatus(locked, self._lost, self._positions.tempo_mbpm)

    def close(self) -> None:
        """The rack closes the client."""
        self._client = None

    def _begin(self) -> None:
        """Start to reckon with the server that runs now."""
        if self._client:
            self._us = ClockMap(NS_PER_UNIT, *read_together(self._jack_us))
            self._frames = None
            self._positions = Positions(self._positions.tempo_mbpm, self._client.jack.samplerate)

    def _rolls(self, position: Any, now_ns: int) -> list[SourceEvent]:
        if self._us is None:
            return []
        frame, at_ns = int(position.frame), round(self._us.ns_at(position.usecs))
        expected = self._last[0] + round((at_ns - self._last[1]) * position.frame_rate / 1e9)
        self._last = (frame, at_ns)
        before = self._positions.tick(expected)
        self._positions.told(position)
        tick = self._positions.tick(frame)
        if not TEMPO_MIN_MBPM <= self._positions.tempo_mbpm <= TEMPO_MAX_MBPM:
            return [Reference(tick, at_ns, self._positions.tempo_mbpm)]
        begun = not self._rolling or abs(tick - before) > JUMP_TICKS
        if begun or self._frames is None:
            self._frames = ClockMap(1e9 / position.frame_rate, frame, at_ns)
        else:
            self._frames.observe(frame, at_ns)
        self._rolling = True
        even_ns = self._frames.ns_at(frame)  # cycles begin a little early or late
        events: list[SourceEvent] = []
        if begun:
            first = math.ceil(max(tick, 0))
            in_ns = (first - tick) * 60e12 / (TICKS_PER_BEAT * self._positions.tempo_mbpm)
            events.append(SourcePlays(first, round(even_ns + in_ns)))
        return [*events, Reference(tick, round(even_ns), self._positions.tempo_mbpm)]

    def _away(self, client: JackClient, now_ns: int) -> list[SourceEvent]:
        """The server has gone: hold the tempo, and look now and then whether there is another."""
        if not self._lost:
            self._lost, self._rolling = True, False
            return [Trouble(f"JACK's transport is gone; holding {self._positions.tempo_mbpm / 1000:g} bpm")]
        if now_ns < self._next_try_ns:
            return []
        self._next_try_ns = now_ns + RETRY_NS
        if not client.reopen():
            return []
        self._lost = False
        self._begin()
        return [Trouble("JACK's transport is back")]
