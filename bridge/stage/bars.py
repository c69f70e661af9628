"""Bars at the stage: each player's chunks, from their arrival to the moment at which their start is sure.

Pure, like the scheduler whose queue and timeline it works on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.messages.message import Message
from bridge.messages.stage import BarStarted, Chunk, EpochStarted, Refused
from bridge.stage.queue import Bar, Entry, Order, Queue
from bridge.timing.timeline import Timeline
from engines.music import LoopFile, Note

BARS_KEPT = 64
"""Bars of a player that are remembered, to tell a late chunk from a new one."""

CATCH_UP_NS = 35_000_000
"""A source that starts us does so a moment before we can be told: what was due since then is played if no later."""


@dataclass(frozen=True, slots=True)
class LoopStarts:
    """From stage tick `tick` on, a player's loop for length_ticks; None is silence after one."""

    player: str
    loop: LoopFile | None
    tick: int
    length_ticks: int


Said = Message | LoopStarts
"""What the scheduler has to say: to control, or to the outputs that play loops."""


class Bars:
    """The bars of the epoch that plays. What they say is in `said`, for the scheduler to take."""

    def __init__(self, players: Iterable[str], queue: Queue, timeline: Timeline) -> None:
        self.epoch: EpochStarted | None = None
        self.playing = False
        self.dropped_notes = 0
        self.said: list[Said] = []
        self._queue = queue
        self._timeline = timeline
        self._bars: dict[str, dict[int, Bar]] = {name: {} for name in players}
        self._looping: set[str] = set()
        self._catch_up_tick = 0
        self._from_tick = 0

    def begin(self, epoch: EpochStarted, count_in_ticks: int) -> None:
        """An epoch begins, and so much before it the count-in; what there was of the one before is forgotten."""
        self._bars = {name: {} for name in self._bars}
        self.epoch, self.playing = epoch, True
        self._from_tick = epoch.position_tick - count_in_ticks
        frozen = self._timeline.frozen
        late_ns = self._timeline.ns_at(frozen) - self._timeline.ns_at(epoch.tick)
        self._catch_up_tick = frozen if 0 < late_ns <= CATCH_UP_NS else epoch.tick - count_in_ticks
        self._silence(max(frozen, epoch.tick))

    def end(self) -> None:
        """Playing has ended."""
        self.playing = False
        self._silence(self._timeline.frozen)

    def stage_tick(self, song_tick: int) -> int:
        """The stage's tick of a song tick."""
        return song_tick - self.epoch.position_tick + self.epoch.tick if self.epoch else song_tick

    def take(self, chunk: Chunk, now_ns: int) -> None:
        """Queue a chunk, or refuse it."""
        reason = self._reason_to_refuse(chunk)
        if reason:
            self.said.append(Refused(chunk.player, chunk.epoch, chunk.bar, chunk.id, reason))
            return
        start = self.stage_tick(chunk.start_tick)
        bars = self._bars[chunk.player]
        old = bars.get(chunk.bar)
        bar = Bar(chunk.epoch, chunk.bar, chunk.id, chunk.outcome, now_ns, chunk.length_ticks, chunk.loop)
        from_tick = chunk.from_tick if chunk.from_tick >= 0 else self._from_tick
        if old:
            bar.entries = old.give_way(self._timeline.frozen, from_tick)
        self._add_notes(chunk, bar, from_tick)
        bars[chunk.bar] = bar
        if len(bars) > BARS_KEPT:
            del bars[min(bars)]
        bar.marker = Entry(chunk.player, start, chunk.start_tick, bar=bar)
        if start < self._timeline.frozen:
            self.started(bar.marker, bar, self.stage_tick(max(chunk.start_tick, chunk.from_tick)))
        else:
            self._queue.push(Order.CONTROL, bar.marker)

    def started(self, marker: Entry, bar: Bar, needed_tick: int) -> None:
        """A bar is this chunk now; needed_tick is where its first note could have been."""
        bar.marker = None
        headroom_s = (self._timeline.ns_at(needed_tick) - bar.arrived_ns) / 1e9
        self.said.append(
            BarStarted(marker.player, bar.epoch, bar.number, bar.chunk_id, bar.outcome, headroom_s, bar.dropped)
        )
        if bar.loop or marker.player in self._looping:
            self.said.append(LoopStarts(marker.player, bar.loop, marker.tick, bar.length_ticks))
            (self._looping.add if bar.loop else self._looping.discard)(marker.player)

    def _silence(self, tick: int) -> None:
        self.said += [LoopStarts(player, None, tick, 0) for player in sorted(self._looping)]
        self._looping.clear()

    def _reason_to_refuse(self, chunk: Chunk) -> str:
        if chunk.player not in self._bars:
            return f"there is no player {chunk.player!r}"
        if not self.playing or self.epoch is None:
            return "nothing is playing"
        if chunk.epoch != self.epoch.epoch:
            return f"epoch {chunk.epoch} is not the one that plays, {self.epoch.epoch}"
        if self.stage_tick(chunk.start_tick + chunk.length_ticks) <= self._timeline.frozen:
            return "the bar is over"
        begun = self.stage_tick(chunk.start_tick) < self._timeline.frozen
        if begun and chunk.bar in self._bars[chunk.player] and chunk.from_tick <= chunk.start_tick:
            return "the bar has begun"
        return ""

    def _add_notes(self, chunk: Chunk, bar: Bar, from_tick: int) -> None:
        """Queue a chunk's notes, but for those that come too late.

        A hit that is played a little before its bar, where the epoch begins with that bar, falls on the beginning;
        what lies wholly before the epoch (after a jump into a bar) is no part of it and is not counted as late.
        """
        for note in chunk.notes:
            if not _playable(note):
                continue
            song_tick = chunk.start_tick + note.tick
            if chunk.start_tick >= self._from_tick:
                song_tick = max(song_tick, self._from_tick)
            if song_tick < max(from_tick, self._from_tick):
                continue
            tick = max(self.stage_tick(song_tick), self._catch_up_tick)
            if tick < self._timeline.frozen:
                bar.dropped += 1
                self.dropped_notes += 1
                continue
            entry = Entry(chunk.player, tick, song_tick, note.pitch, note.velocity, note.length, note.part)
            entry.reported = chunk.bar >= 0
            bar.entries.append(entry)
            self._queue.push(Order.ON, entry)


def _playable(note: Note) -> bool:
    return 0 <= note.pitch <= 127 and 1 <= note.velocity <= 127 and 0 <= note.part <= 16
