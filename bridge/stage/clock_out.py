"""MIDI clock as ticks: when F8, FA, FB, FC and F2 are to leave. The scheduler asks, and gives them their times."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.stage.midi.numbers import CLOCK, CONTINUE, SONG_POSITION, START, STOP
from engines.music import TICKS_PER_BEAT

PULSE_TICKS = TICKS_PER_BEAT // 24
SIXTEENTH_TICKS = TICKS_PER_BEAT // 4
"""Song position counts sixteenths, each six pulses."""

START_LEAD_TICKS = 10
"""A start is told some milliseconds before the pulse that it is about: receivers get ready in between."""

POSITIONS = 1 << 14

Timed = tuple[int, int, tuple[int, ...]]
"""Tick, status, data."""


class ClockOut:
    """Pulses every 40 ticks, playing or not; at the start of an epoch they fall in with the song's own sixteenths."""

    def __init__(self) -> None:
        self._next_tick = 0
        self._begun = False
        self._first_tick: int | None = None
        self._marks: list[Timed] = []
        self._running = False

    def play(self, tick: int, position_tick: int, frozen: int) -> None:
        """The song is at position_tick at stage tick `tick`. Receivers begin with the next sixteenth.

        frozen: the first tick at which something can still leave
        """
        self.stop(frozen)
        first = tick + -position_tick % SIXTEENTH_TICKS
        first += max(0, -(-(frozen - first) // SIXTEENTH_TICKS)) * SIXTEENTH_TICKS  # told late: the next they can reach
        sixteenth = (position_tick + first - tick) // SIXTEENTH_TICKS % POSITIONS
        told = max(frozen, first - START_LEAD_TICKS)
        if sixteenth:
            self._marks.append((told, SONG_POSITION, (sixteenth & 127, sixteenth >> 7)))
        self._marks.append((told, CONTINUE if sixteenth else START, ()))
        self._first_tick = first
        self._fall_in()
        self._running = True

    def stop(self, tick: int) -> None:
        """The song has stopped."""
        self._marks.clear()
        if self._running:
            self._marks.append((tick, STOP, ()))
            self._running = False

    def until(self, frozen: int) -> Iterator[Timed]:
        """What leaves before a tick and has not been given yet, in order; nothing from before the first call."""
        if not self._begun:
            self._begun = True
            self._next_tick = max(self._next_tick, -(-(frozen - 1) // PULSE_TICKS) * PULSE_TICKS)
        while (tick := self.next_tick()) < frozen:
            if self._marks and self._marks[0][0] <= self._next_tick:
                yield self._marks.pop(0)
            else:
                yield tick, CLOCK, ()
                self._next_tick += PULSE_TICKS
                self._fall_in()

    def next_tick(self) -> int:
        """When something leaves next."""
        return min(self._next_tick, self._marks[0][0]) if self._marks else self._next_tick

    def _fall_in(self) -> None:
        """The pulse nearest to a start becomes the start's first."""
        if self._first_tick is not None and self._next_tick > self._first_tick - PULSE_TICKS // 2:
            self._next_tick, self._first_tick = self._first_tick, None
