"""The scheduler: what leaves the stage, at which tick, and never a note without its end.

It is pure: it reads no clock and opens nothing. Messages go in with the time they came, and come back as replies; what
is to be sent comes out of `due`, and `next_ns` says when to ask again. Rules: docs/ARCHITECTURE.md, Time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.messages.message import Message
from bridge.messages.stage import (
    BarStarted,
    Chunk,
    EpochStarted,
    Event,
    Mute,
    Panic,
    Piece,
    Play,
    Refused,
    Stop,
    Stopped,
    Tempo,
)
from bridge.stage.outbox import Departure, Outbox
from bridge.stage.queue import Bar, Entry, Order, Queue
from bridge.timing.timeline import Timeline
from engines.music import Note

BARS_KEPT = 64
"""Bars of a player that are remembered, to tell a late chunk from a new one."""

ALL = ""
"""In an entry of the queue: every player."""


@dataclass(frozen=True, slots=True)
class Player:
    """A player as the scheduler knows it: its MIDI channel 1-16, and how far ahead each of its outputs wants events."""

    name: str
    channel: int
    leads_ns: tuple[int, ...] = (0,)


class Scheduler:
    """Messages in, departures out.

    players: who plays, with the leads of their outputs. start_ns: the moment of stage tick 0.
    """

    def __init__(self, players: Sequence[Player], tempo_mbpm: int, start_ns: int) -> None:
        self._players = {player.name: player for player in players}
        self._look_ahead_ns = max((lead for player in players for lead in player.leads_ns), default=0)
        self._timeline = Timeline(start_ns, tempo_mbpm)
        self._queue = Queue()
        self._outbox = Outbox()
        self._epoch: EpochStarted | None = None
        self._playing = False
        self._bars: dict[str, dict[int, Bar]] = {name: {} for name in self._players}
        self._muted: set[str] = set()
        self._offs: dict[tuple[str, int], Entry] = {}
        self._replies: list[Message] = []
        self.dropped_notes = 0

    @property
    def timeline(self) -> Timeline:
        """The timeline, to read."""
        return self._timeline

    @property
    def first_piece(self) -> Piece:
        """The tempo at the start, which control's mirror begins with."""
        return self._timeline.pieces[0]

    @property
    def sounding(self) -> int:
        """Notes whose on has left and whose off has not."""
        return len(self._offs)

    def apply(self, message: Message, now_ns: int) -> list[Message]:
        """Do what a message of control's says; the replies are for control.

        Raises SidemanError for a tempo outside 20 to 999 bpm.
        """
        self._freeze(now_ns)
        match message:
            case Chunk():
                self._chunk(message, now_ns)
            case Tempo():
                self._replies.append(self._timeline.change(message.tempo_mbpm, now_ns))
            case Play():
                self._play(message, now_ns)
            case Stop():
                self._stop()
            case Mute():
                self._mute(message)
            case Panic():
                self._queue.push(Order.CONTROL, Entry(ALL, self._timeline.frozen))
        return self._taken_replies()

    def due(self, now_ns: int) -> tuple[list[Departure], list[Message]]:
        """What has to be handed over by now, in order, and what there is to tell control."""
        self._freeze(now_ns)
        return self._outbox.due(now_ns), self._taken_replies()

    def next_ns(self) -> int | None:
        """When `due` has something again, as far as is known now; None while there is nothing to wait for."""
        next_tick, next_ns = self._queue.next_tick(), self._outbox.next_ns()
        if next_tick is not None:
            freeze_ns = self._timeline.ns_at(next_tick) - self._look_ahead_ns
            return freeze_ns if next_ns is None else min(freeze_ns, next_ns)
        return next_ns

    def ends(self, now_ns: int) -> list[Departure]:
        """The end of every note that any output was given and that still sounds there, to be sent at once."""
        return self._outbox.ends(now_ns, self._timeline.tick_at(now_ns))

    def finish(self, now_ns: int) -> list[Departure]:
        """The stage is leaving: `ends`, and nothing will be due any more."""
        ends = self.ends(now_ns)
        self._queue.clear()
        self._outbox.clear()
        self._offs.clear()
        self._playing = False
        return ends

    # Messages

    def _play(self, message: Play, now_ns: int) -> None:
        from_ns = max(now_ns, self._timeline.ns_at(self._timeline.frozen))
        tick = self._timeline.tick_at(from_ns + message.delay_ms * 1_000_000)
        self._queue.purge(tick)
        self._queue.push(Order.CONTROL, Entry(ALL, tick))
        self._bars = {name: {} for name in self._players}
        self._epoch = EpochStarted(epoch=message.epoch, tick=tick, position_tick=message.position_tick)
        self._playing = True
        self._replies.append(self._epoch)

    def _stop(self) -> None:
        if not self._playing or self._epoch is None:
            return
        self._playing = False
        self._queue.purge(self._timeline.frozen)
        self._queue.push(Order.CONTROL, Entry(ALL, self._timeline.frozen))
        position = self._epoch.position_tick + max(0, self._timeline.frozen - self._epoch.tick)
        self._replies.append(Stopped(epoch=self._epoch.epoch, position_tick=position))

    def _mute(self, message: Mute) -> None:
        if message.muted:
            self._muted.add(message.player)
            self._queue.push(Order.CONTROL, Entry(message.player, self._timeline.frozen))
        else:
            self._muted.discard(message.player)

    def _chunk(self, chunk: Chunk, now_ns: int) -> None:
        reason = self._reason_to_refuse(chunk)
        if reason:
            self._replies.append(Refused(chunk.player, chunk.epoch, chunk.bar, chunk.id, reason))
            return
        start = self._stage(chunk.start_tick)
        bars = self._bars[chunk.player]
        old = bars.get(chunk.bar)
        bar = Bar(chunk.epoch, chunk.bar, chunk.id, chunk.outcome, now_ns)
        if old:
            bar.entries = old.give_way(self._timeline.frozen, chunk.from_tick)
        self._add_notes(chunk, bar)
        bars[chunk.bar] = bar
        if len(bars) > BARS_KEPT:
            del bars[min(bars)]
        bar.marker = Entry(chunk.player, start, chunk.start_tick, bar=bar)
        if start < self._timeline.frozen:
            self._bar_started(bar.marker, bar, self._stage(max(chunk.start_tick, chunk.from_tick)))
        else:
            self._queue.push(Order.CONTROL, bar.marker)

    def _reason_to_refuse(self, chunk: Chunk) -> str:
        if chunk.player not in self._bars:
            return f"there is no player {chunk.player!r}"
        if not self._playing or self._epoch is None:
            return "nothing is playing"
        if chunk.epoch != self._epoch.epoch:
            return f"epoch {chunk.epoch} is not the one that plays, {self._epoch.epoch}"
        if self._stage(chunk.start_tick + chunk.length_ticks) <= self._timeline.frozen:
            return "the bar is over"
        begun = self._stage(chunk.start_tick) < self._timeline.frozen
        if begun and chunk.bar in self._bars[chunk.player] and chunk.from_tick <= chunk.start_tick:
            return "the bar has begun"
        return ""

    def _add_notes(self, chunk: Chunk, bar: Bar) -> None:
        """Queue a chunk's notes, but for those that come too late.

        A hit that is played a little before its bar, where the epoch begins with that bar, falls on the beginning;
        what lies wholly before the epoch (after a jump into a bar) is no part of it and is not counted as late.
        """
        epoch = self._epoch
        if epoch is None:
            return
        for note in chunk.notes:
            if not _playable(note):
                continue
            song_tick = chunk.start_tick + note.tick
            if chunk.start_tick >= epoch.position_tick:
                song_tick = max(song_tick, epoch.position_tick)
            if song_tick < max(chunk.from_tick, epoch.position_tick):
                continue
            tick = self._stage(song_tick)
            if tick < self._timeline.frozen:
                bar.dropped += 1
                self.dropped_notes += 1
                continue
            entry = Entry(chunk.player, tick, song_tick, note.pitch, note.velocity, note.length)
            bar.entries.append(entry)
            self._queue.push(Order.ON, entry)

    # The queue

    def _freeze(self, now_ns: int) -> None:
        """Freeze up to the look-ahead, and move what was frozen from the queue, by tick, to the outbox, by time."""
        frozen = self._timeline.freeze(now_ns + self._look_ahead_ns)
        while found := self._queue.pop(frozen):
            order, entry = found
            if order is Order.ON:
                self._on(entry)
            elif order is Order.OFF:
                self._off(entry.player, entry.pitch, entry.tick)
            elif entry.bar:
                self._bar_started(entry, entry.bar, entry.tick)
            else:
                self._end_sounding(entry.player, entry.tick)

    def _on(self, on: Entry) -> None:
        if on.player in self._muted:
            return
        sounding = self._offs.get((on.player, on.pitch))
        if sounding:
            if sounding.tick - sounding.length == on.tick:
                return  # the same hit twice
            self._off(on.player, on.pitch, on.tick)
        self._emit(on.player, on.tick, on.song_tick, on.pitch, on.velocity)
        length = max(1, on.length)
        off = Entry(on.player, on.tick + length, on.song_tick + length, on.pitch, length=length)
        self._offs[on.player, on.pitch] = off
        self._queue.push(Order.OFF, off)

    def _off(self, player: str, pitch: int, tick: int) -> None:
        off = self._offs.pop((player, pitch))
        off.alive = False
        self._emit(player, tick, off.song_tick + tick - off.tick, pitch, 0)

    def _end_sounding(self, player: str, tick: int) -> None:
        for name, pitch in list(self._offs):
            if player in (ALL, name):
                self._off(name, pitch, tick)

    def _bar_started(self, marker: Entry, bar: Bar, needed_tick: int) -> None:
        """Tell that a bar is this chunk now; needed_tick is where its first note could have been."""
        bar.marker = None
        headroom_s = (self._timeline.ns_at(needed_tick) - bar.arrived_ns) / 1e9
        self._replies.append(
            BarStarted(marker.player, bar.epoch, bar.number, bar.chunk_id, bar.outcome, headroom_s, bar.dropped)
        )

    def _emit(self, player_name: str, tick: int, song_tick: int, pitch: int, velocity: int) -> None:
        player = self._players[player_name]
        at_ns = self._timeline.ns_at(tick)
        event = Event(player_name, tick, song_tick, pitch, velocity, player.channel, at_ns, 0)
        self._outbox.put(event, player.leads_ns)

    def _stage(self, song_tick: int) -> int:
        return song_tick - self._epoch.position_tick + self._epoch.tick if self._epoch else song_tick

    def _taken_replies(self) -> list[Message]:
        replies, self._replies = self._replies, []
        return replies


def _playable(note: Note) -> bool:
    return 0 <= note.pitch <= 127 and 1 <= note.velocity <= 127
