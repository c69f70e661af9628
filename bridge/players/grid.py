"""BarGrid and Song: which bar is where in the song, and when that is on the clock.

The stage owns the timeline; Song mirrors it from the pieces the stage reports (docs/ARCHITECTURE.md, Time).
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.messages.stage import EpochStarted, Piece
from bridge.timing.timeline import TempoMap
from engines.music import TICKS_PER_BEAT, Meter


@dataclass(frozen=True, slots=True)
class BarSpan:
    """Where bar `number` (from 0) lies in the song: its first tick and its metre.

    part_ticks: the length of a span that is a part of a bar, and is counted by itself (bridge.players.spans); 0: a bar
    """

    number: int
    start_tick: int
    meter: Meter
    part_ticks: int = 0

    @property
    def length_ticks(self) -> int:
        """Length of the span in ticks."""
        return self.part_ticks or self.meter.bar_ticks

    @property
    def end_tick(self) -> int:
        """First tick of the span after it."""
        return self.start_tick + self.length_ticks


class BarGrid:
    """The bars of a song, shared by all players: a metre holds until the next change."""

    def __init__(self, meter: Meter) -> None:
        self._changes = [BarSpan(0, 0, meter)]

    @property
    def changes(self) -> tuple[BarSpan, ...]:
        """Bar 0, and the bars from which on there is another metre."""
        return tuple(self._changes)

    def bar(self, number: int) -> BarSpan:
        """The bar of that number, 0 or more."""
        last = next(change for change in reversed(self._changes) if change.number <= number)
        return BarSpan(number, last.start_tick + (number - last.number) * last.length_ticks, last.meter)

    def bar_at(self, song_tick: int) -> BarSpan:
        """The bar that holds a song tick; the first one for ticks before the song."""
        tick = max(0, song_tick)
        last = next(change for change in reversed(self._changes) if change.start_tick <= tick)
        return self.bar(last.number + (tick - last.start_tick) // last.length_ticks)

    def change(self, number: int, meter: Meter) -> None:
        """From bar `number` on the metre is this one; later changes fall."""
        start = self.bar(number)
        self._changes = [change for change in self._changes if change.number < number]
        self._changes.append(BarSpan(number, start.start_tick, meter))


class Song:
    """The song as control knows it: its grid, its tempo, the epoch that plays, and the stage's clock mirrored."""

    def __init__(self, meter: Meter, tempo_mbpm: int) -> None:
        self.grid = BarGrid(meter)
        self.tempo_mbpm = tempo_mbpm
        self.epoch = 0
        self.playing = False
        self._map: TempoMap | None = None
        self._offset_ticks = 0

    def piece(self, piece: Piece) -> None:
        """Take over a piece of the stage's timeline."""
        if self._map is None:
            self._map = TempoMap(piece)
        else:
            self._map.apply(piece)
        self.tempo_mbpm = piece.tempo_mbpm

    def epoch_started(self, message: EpochStarted) -> None:
        """The stage has placed the epoch: from now on song ticks have times."""
        self._offset_ticks = message.position_tick - message.tick
        self.epoch = message.epoch
        self.playing = True

    def forget(self) -> None:
        """The stage is gone, and its timeline with it."""
        self._map = None
        self.playing = False

    @property
    def tempo_bpm(self) -> float:
        """Beats a minute."""
        return self.tempo_mbpm / 1000

    def seconds(self, ticks: int) -> float:
        """How long so many ticks last at the present tempo."""
        return ticks * 60_000 / (TICKS_PER_BEAT * self.tempo_mbpm)

    def ns_at(self, song_tick: int) -> int:
        """When a song tick is, in perf_counter_ns, as far as is known now. Needs an epoch that has started."""
        return self._tempo_map().ns_at(self.stage_tick(song_tick))

    def song_tick_at(self, at_ns: int) -> int:
        """The song tick that sounds at a time. Needs an epoch that has started."""
        return self._tempo_map().tick_at(at_ns) + self._offset_ticks

    def stage_tick(self, song_tick: int) -> int:
        """The stage's tick of a song tick in this epoch."""
        return song_tick - self._offset_ticks

    def _tempo_map(self) -> TempoMap:
        if self._map is None:
            raise RuntimeError("the stage has not reported a timeline yet")
        return self._map
