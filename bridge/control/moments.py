"""Moments: something is done when the song gets to a tick, whatever becomes of the tempo until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.players.grid import Song

MARGIN_NS = 20_000_000
"""So much later than the tick: what is due with it has left by then."""


class Moments:
    """Timers by name, on song ticks. `now_ns` is perf_counter_ns."""

    def __init__(self, song: Song, now_ns: Callable[[], int]) -> None:
        self._song = song
        self._now_ns = now_ns
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def at(self, name: str, song_tick: int, then: Callable[[], None]) -> None:
        """Call `then` when the tick is over, or playing has ended; instead of what was to come under that name."""
        if name in self._timers:
            self._timers.pop(name).cancel()
        left_ns = self._song.ns_at(song_tick) + MARGIN_NS - self._now_ns() if self._song.playing else 0
        if left_ns <= 0:
            then()
            return
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(left_ns / 1e9, self.at, name, song_tick, then)

    def close(self) -> None:
        """Nothing is to be done any more. May be called twice."""
        while self._timers:
            self._timers.popitem()[1].cancel()
