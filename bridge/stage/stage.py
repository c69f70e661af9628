"""The stage: the loop between control, the scheduler, what is followed and heard, and the outputs.

One thread, which waits until the next deadline, or for its channel and what comes in, and on nothing else; no
inference, no disk (docs/ARCHITECTURE.md, Processes).
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING

from msgspec import structs

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Message, Trouble
from bridge.messages.stage import (
    AskStatus,
    Chunk,
    Connections,
    EpochStarted,
    Event,
    Left,
    Mix,
    Mute,
    Panic,
    Piece,
    Play,
    Quit,
    Setup,
    StageReady,
    StageStatus,
    Stop,
    Stopped,
    Subscribers,
    Tempo,
)
from bridge.messages.sync import Sync, SyncSetup
from bridge.stage.bars import LoopStarts, Said
from bridge.stage.following import Following
from bridge.stage.hearing import Hearing
from bridge.stage.lateness import Lateness
from bridge.stage.outbox import REPORT, Departure
from bridge.stage.patchbay import Patchbay
from bridge.stage.realtime import take_realtime
from bridge.stage.scheduler import Scheduler
from bridge.timing.clock import Clock
from bridge.timing.sync.source import Source
from bridge.timing.sync.sources import make_source
from engines.errors import SidemanError

if TYPE_CHECKING:
    from bridge.stage.inputs.inputs import Inputs

POLL_NS = 250_000_000
"""How often the ports are asked whether they are still there."""

GAP_NS = 10_000_000
"""How far off the next event should be then."""

POSTPONED_MAX = 16
"""After so many events without such a gap they are asked all the same."""


class Stage:
    """The open ports, the scheduler, and the loop between them and control."""

    def __init__(self, channel: Channel, setup: Setup, clock: Clock) -> None:
        self._channel = channel
        self._setup = setup
        self._clock = clock
        self._patchbay = Patchbay(setup)
        self._inputs: Inputs | None = None
        self._hearing: Hearing | None = None
        self._connections: dict[str, tuple[str, ...]] = {}
        self._lateness = Lateness()
        self._realtime = False
        self._next_poll_ns = 0
        self._postponed = 0
        self._leaving = False
        self._scheduler = Scheduler([], setup.tempo_mbpm, 0)
        self._following = Following(self._scheduler, self._source)

    def open(self) -> None:
        """Open the ports, end what an earlier stage left sounding, take real-time priority, and say so."""
        lines, problems = self._patchbay.open()
        if self._setup.inputs:
            found = self._open_inputs()
            lines += found[0]
            problems += found[1]
        self._realtime = take_realtime()
        players = self._patchbay.players()
        now_ns = self._clock.now_ns()
        self._scheduler = Scheduler(players, self._setup.tempo_mbpm, now_ns)  # from here on it has to be in time
        self._following = Following(self._scheduler, self._source)
        names = {player.name for player in players}
        for name, channel, pitch in self._setup.sounding:
            if name in names:
                self._patchbay.send(name, Event(name, 0, 0, pitch, 0, channel, now_ns, 0))
        self._channel.send(StageReady(tuple(lines), self._realtime, tuple(problems)))
        self._say(self._scheduler.first_piece)
        if self._setup.sync.kind != "internal":
            self._say(*self._following.follow(self._setup.sync, self._clock.now_ns()))

    def run(self, wake: socket.socket) -> None:
        """Play until told to quit, or until `leave`. Raises ChannelClosedError when control has gone.

        wake: becomes readable when a signal has come.
        """
        while not self._leaving:
            self._dispatch()
            self._hear()
            self._say(*self._following.poll(self._clock.now_ns()))
            for message in self._channel.receive():
                self._handle(message)
            self._poll()
            self._wait(wake)

    def leave(self) -> None:
        """Let `run` return."""
        self._leaving = True

    def close(self) -> None:
        """End every note, close the ports. Control, if it still listens, is told which notes ended."""
        now_ns = self._clock.now_ns()
        departures = self._scheduler.finish(now_ns)
        with contextlib.suppress(ChannelClosedError):
            self._send_out(departures)
        self._following.close()
        if self._hearing:
            self._hearing.end(now_ns, self._scheduler.timeline.tick_at(now_ns))
        if self._inputs:
            self._inputs.close()
        self._patchbay.close()

    @property
    def reconnect_advice(self) -> str:
        """What a host must connect again, in words."""
        wires = [f"{port} -> {other}" for port, others in self._connections.items() for other in others]
        return f"; connect again: {', '.join(wires)}" if wires else "; hosts may have to choose our ports again"

    def _open_inputs(self) -> tuple[list[str], list[str]]:
        """Open the inputs; what is to be said of them, and what of those that are not there."""
        from bridge.stage.inputs.inputs import Inputs

        self._inputs = Inputs(self._setup.inputs, self._patchbay.rack)
        channels = {player.name: player.channel for player in self._setup.players}
        self._hearing = Hearing(self._inputs, self._setup.inputs, self._patchbay, channels)
        return self._inputs.open()

    def _source(self, setup: SyncSetup) -> Source | None:
        if setup.kind == "midi" and self._inputs is None:
            self._open_inputs()
        tempo_mbpm = self._scheduler.timeline.pieces[-1].tempo_mbpm
        return make_source(setup, tempo_mbpm, self._inputs, self._patchbay.rack)

    def _wait(self, wake: socket.socket) -> None:
        now_ns = self._clock.now_ns()
        times = [self._next_poll_ns, self._scheduler.next_ns(), self._following.next_ns(now_ns)]
        if self._inputs:
            times.append(self._inputs.next_ns())
        deadline_ns = min(time_ns for time_ns in times if time_ns is not None)
        wait_s = max(0, deadline_ns - now_ns) / 1e9
        channel = self._channel.fileno()
        readers = [channel, wake.fileno()]
        if self._inputs and (inputs := self._inputs.fileno()) >= 0:
            readers.append(inputs)
        _, writable, _ = select.select(readers, [channel] if self._channel.waiting else [], [], wait_s)
        if writable:
            self._channel.flush()

    def _dispatch(self) -> None:
        departures, said = self._scheduler.due(self._clock.now_ns())
        if departures:
            self._send_out(departures)
        self._say(*said)

    def _hear(self) -> None:
        heard = self._hearing.take(self._scheduler, self._clock.now_ns()) if self._hearing else None
        if heard:
            self._channel.send(heard)

    def _say(self, *said: Said) -> None:
        """Tell control, and the outputs what concerns them."""
        for message in said:
            if isinstance(message, LoopStarts):
                self._patchbay.loop_starts(message)
                continue
            if isinstance(message, (Piece, EpochStarted, Stopped)):
                self._patchbay.timeline(message)
            self._channel.send(message)

    def _send_out(self, departures: list[Departure]) -> None:
        """Hand events to their outputs, and then tell control what left."""
        left = []
        for departure in departures:
            event, due_ns = departure.event, departure.event.at_ns
            if departure.output != REPORT:
                due_ns = self._patchbay.deliver(departure)
            elif isinstance(event, Event):
                left.append(event)
            if departure.output != REPORT or not self._patchbay.plays(event.player):
                self._lateness.add(self._clock.now_ns() - due_ns)
        if left:
            now_ns = self._clock.now_ns()
            events = tuple(structs.replace(event, late_ns=max(0, now_ns - event.at_ns)) for event in left)
            self._channel.send(Left(events))

    def _handle(self, message: Message) -> None:
        match message:
            case Quit():
                self.leave()
            case Subscribers():
                self._patchbay.rack.subscribers = message.targets
            case AskStatus():
                self._channel.send(self._status())
            case Mix():
                self._patchbay.mix(message.player, lambda output: output.mix(message.gain_db, message.pan))
            case Sync():
                self._say(*self._following.follow(message.sync, self._clock.now_ns()))
            case _:
                self._apply(message)

    def _apply(self, message: Message) -> None:
        now_ns = self._clock.now_ns()
        if isinstance(message, Tempo) and (refusal := self._following.refuses(message.tempo_mbpm, now_ns)):
            self._say(refusal)
            return
        if isinstance(message, Chunk) and message.loop:
            self._patchbay.cue(message.player, message.loop)
        todo = message
        if isinstance(message, Play) and self._following.alone():
            todo = structs.replace(message, quantum_ticks=0)
        said: list[Said]
        try:
            said = self._scheduler.apply(todo, now_ns)
        except SidemanError as error:
            said = [Trouble(str(error))]
        self._say(*said)
        match message:
            case Play():
                self._following.placed(message)
            case Stop():
                self._following.stopped(message, now_ns)
            case Mute():
                self._patchbay.mix(message.player, lambda output: output.mute(message.muted))
            case Panic():
                self._panic()

    def _panic(self) -> None:
        now_ns = self._clock.now_ns()
        for departure in self._scheduler.ends(now_ns):
            if departure.output != REPORT:
                self._patchbay.deliver(departure)
        if self._hearing:
            self._hearing.end(now_ns, self._scheduler.timeline.tick_at(now_ns))
        self._patchbay.panic()

    def _poll(self) -> None:
        """Look after the ports, in a gap between events: opening a lost one again may take some milliseconds."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_poll_ns:
            return
        next_ns = self._scheduler.next_ns()
        if next_ns is not None and next_ns < now_ns + GAP_NS and self._postponed < POSTPONED_MAX:
            self._postponed += 1
            self._next_poll_ns = next_ns
            return
        self._postponed = 0
        self._next_poll_ns = now_ns + POLL_NS
        for message in (*self._patchbay.poll(now_ns), *(self._inputs.look(now_ns) if self._inputs else ())):
            if isinstance(message, Connections):
                self._connections.update(message.ports)
            self._channel.send(message)

    def _status(self) -> StageStatus:
        return StageStatus(
            events=self._lateness.count,
            late_p50_us=self._lateness.percentile_us(50),
            late_p99_us=self._lateness.percentile_us(99),
            late_max_us=self._lateness.max_ns / 1000,
            dropped_notes=self._scheduler.dropped_notes,
            sounding=self._scheduler.sounding,
            cpu_s=time.process_time(),
            realtime=self._realtime,
        )
