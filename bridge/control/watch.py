"""The watch: what happens because the song has come to a tick: the playhead moves on, a session ends."""

from __future__ import annotations

from collections.abc import Callable

from bridge.control.moments import Moments
from bridge.control.transport import Transport
from bridge.players.grid import Song
from engines.music import STEP_TICKS


class Watch:
    """bars: how many are played, None for no end; playhead: told each sixteenth of the bar; over: called at the end."""

    def __init__(
        self,
        song: Song,
        transport: Transport,
        now_ns: Callable[[], int],
        *,
        bars: int | None,
        playhead: Callable[[int], None] | None,
        over: Callable[[], None],
    ) -> None:
        self.end_tick: int | None = None
        self._song = song
        self._transport = transport
        self._now_ns = now_ns
        self._bars = bars
        self._playhead = playhead
        self._over = over
        self._moments = Moments(song, now_ns)

    def epoch_started(self) -> None:
        """The song is somewhere else."""
        if self._playhead is not None and self._song.playing:
            tick = self._song.song_tick_at(self._now_ns())
            span = self._song.grid.bar_at(tick)
            self._playhead(max(0, tick - span.start_tick) // STEP_TICKS)
            self._moments.at("playhead", tick - tick % STEP_TICKS + STEP_TICKS, self.epoch_started)

    def bar_started(self) -> None:
        """Once the last bar has begun everywhere, wait for its end, and for the last note's."""
        planners = self._transport.planners
        if self._bars is None or not all(planner.finished for planner in planners):
            return
        currents = [planner.current for planner in planners if planner.current is not None]
        ends = [current.span.end_tick for current in currents]
        ends += [c.span.start_tick + n.tick + n.length + 1 for c in currents for n in c.phrase.notes]
        self.end_tick = self._song.stage_tick(currents[0].span.end_tick)
        self._moments.at("end", max(ends), self._ended)

    def close(self) -> None:
        """Wait for nothing any more. May be called twice."""
        self._moments.close()

    def _ended(self) -> None:
        if self._song.playing:
            self._over()
