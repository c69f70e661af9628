"""The scheduler: what leaves the stage, at which tick, and never a note without its end.

It is pure: it reads no clock and opens nothing. Messages go in with the time they came, and come back as replies; what
is to be sent comes out of `due`, and `next_ns` says when to ask again. Rules: docs/ARCHITECTURE.md, Time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge.messages.message import Message
from bridge.messages.stage import Chunk, EpochStarted, Event, Mute, Panic, Piece, Play, Stop, Stopped, Tempo
from bridge.stage.bars import Bars, Said
from bridge.stage.clock_out import ClockOut
from bridge.stage.midi.numbers import STOP
from bridge.stage.outbox import Departure, Line, Outbox, Pulse
from bridge.stage.queue import Entry, Order, Queue
from bridge.timing.timeline import Timeline
from engines.notes.roles import CHANNELS

ALL = ""
"""In an entry of the queue: every player."""


@dataclass(frozen=True, slots=True)
class Player:
    """A player as the scheduler knows it: its MIDI channel 1-16, those of its parts, the way to each of its outputs."""

    name: str
    channel: int
    lines: tuple[Line, ...] = (Line(),)
    channels: tuple[int, ...] = CHANNELS

    def channel_of(self, part: int) -> int:
        """The channel that a note of a part is sent on."""
        return self.channels[part - 1] if part else self.channel


class Scheduler:
    """Messages in, departures out.

    players: who plays. start_ns: the moment of stage tick 0. source_offset: while a source is followed, how many ticks
    its position is ahead of ours.
    """

    def __init__(self, players: Sequence[Player], tempo_mbpm: int, start_ns: int) -> None:
        self.source_offset = 0
        self._players = {player.name: player for player in players}
        lines = [line for player in players for line in player.lines]
        self._look_ahead_ns = max((line.ahead_ns for line in lines), default=0)
        self._look_ahead_ns = max(0, self._look_ahead_ns)
        self._clocked = tuple(player for player in players if any(line.clock for line in player.lines))
        self._timeline = Timeline(start_ns, tempo_mbpm)
        self._queue = Queue()
        self._outbox = Outbox()
        self._clock_out = ClockOut()
        self._bars = Bars(self._players, self._queue, self._timeline)
        self._muted: set[str] = set()
        self._offs: dict[tuple[str, int, int], Entry] = {}

    @property
    def timeline(self) -> Timeline:
        """The timeline; whoever changes it freezes it first, with `freeze`."""
        return self._timeline

    @property
    def first_piece(self) -> Piece:
        """The tempo at the start, which control's mirror begins with."""
        return self._timeline.pieces[0]

    @property
    def playing(self) -> bool:
        """Whether an epoch plays, or is about to."""
        return self._bars.playing

    @property
    def epoch(self) -> EpochStarted | None:
        """The epoch that plays, or played last."""
        return self._bars.epoch

    @property
    def sounding(self) -> int:
        """Notes whose on has left and whose off has not."""
        return len(self._offs)

    @property
    def dropped_notes(self) -> int:
        """Notes that came too late, so far."""
        return self._bars.dropped_notes

    def apply(self, message: Message, now_ns: int) -> list[Said]:
        """Do what a message of control's says; the replies are for control, and for those that play loops.

        Raises SidemanError for a tempo outside 20 to 999 bpm.
        """
        self.freeze(now_ns)
        match message:
            case Chunk():
                self._bars.take(message, now_ns)
            case Tempo():
                self._bars.said.append(self._timeline.change(message.tempo_mbpm, now_ns))
            case Play():
                self._play(message, now_ns)
            case Stop():
                self._stop()
            case Mute():
                self._mute(message)
            case Panic():
                self._queue.push(Order.CONTROL, Entry(ALL, self._timeline.frozen))
        return self._taken()

    def due(self, now_ns: int) -> tuple[list[Departure], list[Said]]:
        """What has to be handed over by now, in order, and what there is to tell."""
        self.freeze(now_ns)
        return self._outbox.due(now_ns), self._taken()

    def next_ns(self) -> int | None:
        """When `due` has something again, as far as is known now; None while there is nothing to wait for."""
        ticks = [tick for tick in (self._queue.next_tick(), self._next_pulse()) if tick is not None]
        times = [self._timeline.ns_at(min(ticks)) - self._look_ahead_ns] if ticks else []
        next_ns = self._outbox.next_ns()
        return min([*times, next_ns] if next_ns is not None else times, default=None)

    def ends(self, now_ns: int) -> list[Departure]:
        """The end of every note that any output was given and that still sounds there, to be sent at once."""
        return self._outbox.ends(now_ns, self._timeline.tick_at(now_ns))

    def finish(self, now_ns: int) -> list[Departure]:
        """The stage is leaving: `ends`, a stop for those on our clock, and nothing will be due any more."""
        ends = self.ends(now_ns)
        for player in self._clocked if self._bars.playing else ():
            stop = Pulse(player.name, STOP, (), now_ns)
            ends += [Departure(stop, output) for output, line in enumerate(player.lines) if line.clock]
        self._queue.clear()
        self._outbox.clear()
        self._offs.clear()
        self._clocked = ()
        self._bars.playing = False
        return ends

    def freeze(self, now_ns: int) -> None:
        """Freeze up to the look-ahead, and move what was frozen from the queue, by tick, to the outbox, by time."""
        frozen = self._timeline.freeze(now_ns + self._look_ahead_ns)
        if self._clocked:
            for tick, status, data in self._clock_out.until(frozen):
                for player in self._clocked:
                    self._outbox.put_pulse(player.name, status, data, self._timeline.ns_at(tick), player.lines)
        while found := self._queue.pop(frozen):
            order, entry = found
            if order is Order.ON:
                self._on(entry)
            elif order is Order.OFF:
                self._off((entry.player, entry.channel, entry.pitch), entry.tick)
            elif entry.bar:
                self._bars.started(entry, entry.bar, entry.tick)
            else:
                self._end_sounding(entry.player, entry.tick)

    # Messages

    def _play(self, message: Play, now_ns: int) -> None:
        if message.at_ns is None:
            from_ns = max(now_ns, self._timeline.ns_at(self._timeline.frozen))
            tick = self._timeline.tick_at(from_ns + message.delay_ms * 1_000_000)
        else:
            tick = self._timeline.tick_at(message.at_ns)
        tick += message.count_in_ticks
        if message.quantum_ticks:
            tick = max(tick, self._timeline.frozen)
            tick += (message.position_tick - self.source_offset - tick) % message.quantum_ticks
        free = max(tick, self._timeline.frozen)
        self._queue.purge(free)
        self._queue.push(Order.CONTROL, Entry(ALL, free))
        epoch = EpochStarted(epoch=message.epoch, tick=tick, position_tick=message.position_tick)
        self._bars.begin(epoch, message.count_in_ticks)
        self._clock_out.play(tick, message.position_tick, self._timeline.frozen)
        self._bars.said.append(epoch)

    def _stop(self) -> None:
        epoch, frozen = self._bars.epoch, self._timeline.frozen
        if not self._bars.playing or epoch is None:
            return
        self._bars.end()
        self._queue.purge(frozen)
        self._queue.push(Order.CONTROL, Entry(ALL, frozen))
        self._clock_out.stop(frozen)
        self._bars.said.append(Stopped(epoch.epoch, epoch.position_tick + max(0, frozen - epoch.tick)))

    def _mute(self, message: Mute) -> None:
        if message.muted:
            self._muted.add(message.player)
            self._queue.push(Order.CONTROL, Entry(message.player, self._timeline.frozen))
        else:
            self._muted.discard(message.player)

    # Events

    def _on(self, on: Entry) -> None:
        if on.player in self._muted:
            return
        on.channel = self._players[on.player].channel_of(on.part)
        key = (on.player, on.channel, on.pitch)
        sounding = self._offs.get(key)
        if sounding:
            if sounding.tick - sounding.length == on.tick:
                return  # the same hit twice
            self._off(key, on.tick)
        self._emit(on, on.tick, on.song_tick, on.velocity)
        length = max(1, on.length)
        off = replace(on, tick=on.tick + length, song_tick=on.song_tick + length, velocity=0, length=length)
        self._offs[key] = off
        self._queue.push(Order.OFF, off)

    def _off(self, key: tuple[str, int, int], tick: int) -> None:
        off = self._offs.pop(key)
        off.alive = False
        self._emit(off, tick, off.song_tick + tick - off.tick, 0)

    def _end_sounding(self, player: str, tick: int) -> None:
        for key in list(self._offs):
            if player in (ALL, key[0]):
                self._off(key, tick)

    def _emit(self, entry: Entry, tick: int, song_tick: int, velocity: int) -> None:
        player = self._players[entry.player]
        at_ns = self._timeline.ns_at(tick)
        event = Event(player.name, tick, song_tick, entry.pitch, velocity, entry.channel, at_ns, 0, entry.part)
        self._outbox.put(event, player.lines, entry.reported)

    def _next_pulse(self) -> int | None:
        return self._clock_out.next_tick() if self._clocked else None

    def _taken(self) -> list[Said]:
        said, self._bars.said = self._bars.said, []
        return said
