"""Deadlines: what can still be made in time (docs/ARCHITECTURE.md, Deadlines are policy, not luck)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bridge.players.grid import BarSpan, Song

MARGIN_S = 0.06
"""Time kept free before a bar beside its making: the stage's look-ahead, and both ways through the channels."""

ROOM = 1.15
"""A bar is asked for again only where its making may take so many times its longest: an engine that runs short of time
gives something up, and what is there already is better than that."""

TOOK_KEPT = 32
"""Bars whose making time is remembered; the longest counts."""


class Deadlines:
    """How long a player's bars take, against how much time there is."""

    def __init__(self, song: Song, now_ns: Callable[[], int]) -> None:
        self._song = song
        self._now_ns = now_ns
        self._took_s: deque[float] = deque(maxlen=TOOK_KEPT)

    def start(self, bar_s: float) -> None:
        """A new worker, which takes so long for a bar at worst."""
        self._took_s.clear()
        self._took_s.append(bar_s)

    def took(self, since_ns: int) -> None:
        """An answer has come to what was asked then."""
        self._took_s.append((self._now_ns() - since_ns) / 1e9)

    @property
    def song_tick(self) -> int:
        """The song tick that sounds."""
        return self._song.song_tick_at(self._now_ns())

    @property
    def bar_s(self) -> float:
        """How long a bar takes, at worst, from asking to having it."""
        return max(self._took_s, default=0.0)

    def fits(self, span: BarSpan, commit_ticks: int, cost_s: float | None = None) -> bool:
        """True if a bar asked for now is there so many ticks before it starts. cost_s: if it is not a bar's time."""
        return self.latest_s(span, commit_ticks, cost_s) > 0.0

    def latest_s(self, span: BarSpan, commit_ticks: int, cost_s: float | None = None) -> float:
        """Time until the last moment at which a bar that is asked for is there so many ticks before it starts."""
        left_s = (self._song.ns_at(span.start_tick - commit_ticks) - self._now_ns()) / 1e9
        return left_s - MARGIN_S - (ROOM * self.bar_s if cost_s is None else cost_s)

    def left_s(self, span: BarSpan) -> float:
        """Time in which a bar has to be made, so that it is where it is played from when it starts."""
        return max(0.0, (self._song.ns_at(span.start_tick) - self._now_ns()) / 1e9 - MARGIN_S)

    def next_beat(self, span: BarSpan) -> int | None:
        """The song tick of the first beat in a bar, but its first, that what is asked for now can begin on.

        None if less than a beat of the bar would be left after it.
        """
        ready_ns = self._now_ns() + round((MARGIN_S + self.bar_s) * 1e9)
        into = max(1, self._song.song_tick_at(ready_ns) - span.start_tick)
        beat = span.meter.beat_ticks
        tick = span.start_tick + -(-into // beat) * beat
        return tick if tick <= span.end_tick - beat else None
