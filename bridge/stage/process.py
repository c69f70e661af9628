"""The stage: the one real-time process, in which everything that sounds leaves at its moment.

Run by control as `python -m bridge.stage.process DESCRIPTOR`. One thread, which waits on its channel until the next
deadline and on nothing else; no inference, no disk (docs/ARCHITECTURE.md, Processes).
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import time
from types import FrameType

from msgspec import structs

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Message, Trouble
from bridge.messages.stage import (
    AskStatus,
    Connections,
    Event,
    Left,
    Panic,
    Quit,
    Setup,
    StageReady,
    StageStatus,
    Subscribers,
    ToStage,
)
from bridge.stage.lateness import Lateness
from bridge.stage.outbox import REPORT, Departure
from bridge.stage.outputs.output import Output, Rack, make_output
from bridge.stage.realtime import take_realtime
from bridge.stage.scheduler import Player, Scheduler
from bridge.timing.clock import Clock, SystemClock
from engines.errors import SidemanError

POLL_NS = 250_000_000
"""How often the outputs are asked whether their ports are still there."""

GAP_NS = 10_000_000
"""How far off the next event should be then; where none is, after so many events:"""

POSTPONED_MAX = 16


class Stage:
    """The open outputs, the scheduler, and the loop between them and control."""

    def __init__(self, channel: Channel, setup: Setup, clock: Clock) -> None:
        self._channel = channel
        self._setup = setup
        self._clock = clock
        self._rack = Rack(setup.client_name, setup.reconnect)
        self._outputs: dict[str, list[Output]] = {player.name: [] for player in setup.players}
        self._connections: dict[str, tuple[str, ...]] = {}
        self._lateness = Lateness()
        self._realtime = False
        self._next_poll_ns = 0
        self._postponed = 0
        self._leaving = False
        self._scheduler = Scheduler([], setup.tempo_mbpm, 0)

    def open(self) -> None:
        """Open the ports, end what an earlier stage left sounding, take real-time priority, and say so."""
        lines, problems = [], []
        for player in self._setup.players:
            for wanted in player.outputs:
                try:
                    output = make_output(wanted, player, self._rack)
                    lines.append(output.open())
                    self._outputs[player.name].append(output)
                except SidemanError as error:
                    problems.append(str(error))
        players = [
            Player(player.name, player.channel, tuple(output.lead_ns for output in self._outputs[player.name]))
            for player in self._setup.players
        ]
        now_ns = self._clock.now_ns()
        self._scheduler = Scheduler(players, self._setup.tempo_mbpm, now_ns)
        channels = {player.name: player.channel for player in players}
        for name, pitch in self._setup.sounding:
            for output in self._outputs.get(name, []):
                output.send(Event(name, 0, 0, pitch, 0, channels[name], now_ns, 0))
        self._realtime = take_realtime()
        self._channel.send(StageReady(tuple(lines), self._realtime, tuple(problems)))
        self._channel.send(self._scheduler.first_piece)

    def run(self, wake: socket.socket) -> None:
        """Play until told to quit, or until `leave`. Raises ChannelClosedError when control has gone.

        wake: becomes readable when a signal has come.
        """
        while not self._leaving:
            self._dispatch()
            for message in self._channel.receive():
                self._handle(message)
            self._poll()
            self._wait(wake)

    def leave(self) -> None:
        """Let `run` return."""
        self._leaving = True

    def close(self) -> None:
        """End every note, close the ports. Control, if it still listens, is told which notes ended."""
        departures = self._scheduler.finish(self._clock.now_ns())
        with contextlib.suppress(ChannelClosedError):
            self._send_out(departures)
        for outputs in self._outputs.values():
            for output in outputs:
                output.panic()
                output.close()
        self._rack.close()

    @property
    def reconnect_advice(self) -> str:
        """What a host must connect again, in words."""
        wires = [f"{port} -> {other}" for port, others in self._connections.items() for other in others]
        return f"; connect again: {', '.join(wires)}" if wires else "; hosts may have to choose our ports again"

    def _wait(self, wake: socket.socket) -> None:
        deadline_ns = self._next_poll_ns
        next_ns = self._scheduler.next_ns()
        if next_ns is not None:
            deadline_ns = min(deadline_ns, next_ns)
        wait_s = max(0, deadline_ns - self._clock.now_ns()) / 1e9
        channel = self._channel.fileno()
        _, writable, _ = select.select([channel, wake.fileno()], [channel] if self._channel.waiting else [], [], wait_s)
        if writable:
            self._channel.flush()

    def _dispatch(self) -> None:
        departures, replies = self._scheduler.due(self._clock.now_ns())
        if departures:
            self._send_out(departures)
        for reply in replies:
            self._channel.send(reply)

    def _send_out(self, departures: list[Departure]) -> None:
        """Hand events to their outputs, and then tell control what left."""
        left = []
        for departure in departures:
            event = departure.event
            outputs = self._outputs[event.player]
            if departure.output == REPORT:
                left.append(event)
                lead_ns = 0
            else:
                output = outputs[departure.output]
                output.send(event)
                lead_ns = output.lead_ns
            if departure.output != REPORT or not outputs:
                self._lateness.add(self._clock.now_ns() - event.at_ns + lead_ns)
        if left:
            now_ns = self._clock.now_ns()
            events = tuple(structs.replace(event, late_ns=max(0, now_ns - event.at_ns)) for event in left)
            self._channel.send(Left(events))

    def _handle(self, message: Message) -> None:
        match message:
            case Quit():
                self.leave()
            case Subscribers():
                self._rack.subscribers = message.targets
            case AskStatus():
                self._channel.send(self._status())
            case _:
                try:
                    replies = self._scheduler.apply(message, self._clock.now_ns())
                except SidemanError as error:
                    replies = [Trouble(str(error))]
                for reply in replies:
                    self._channel.send(reply)
                if isinstance(message, Panic):
                    self._panic()

    def _panic(self) -> None:
        for departure in self._scheduler.ends(self._clock.now_ns()):
            if departure.output != REPORT:
                self._outputs[departure.event.player][departure.output].send(departure.event)
        for outputs in self._outputs.values():
            for output in outputs:
                output.panic()

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
        for outputs in self._outputs.values():
            for output in outputs:
                for message in output.poll(now_ns):
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


def serve(channel: Channel, clock: Clock) -> None:
    """Play what control says until it says Quit, goes away, or the process is told to end."""
    try:
        first = channel.first()
    except ChannelClosedError:
        return
    if not isinstance(first, Setup):
        return
    stage = Stage(channel, first, clock)
    wake = _leave_on_signal(stage)
    try:
        stage.open()
        stage.run(wake)
    except ChannelClosedError:
        stage.close()
        advice = stage.reconnect_advice
        with contextlib.suppress(OSError):  # the terminal may have gone with it
            print(f"sideman: control is gone; every note was ended and the ports closed{advice}", file=sys.stderr)
    finally:
        stage.close()


def _leave_on_signal(stage: Stage) -> socket.socket:
    """Have SIGTERM end the loop of a stage; the socket returned becomes readable then."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stage.leave()
        with contextlib.suppress(OSError):
            writer.send(b"!")

    signal.signal(signal.SIGTERM, leave)
    return reader


def main() -> None:
    """Run as a process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Channel.inherited(int(sys.argv[1]), ToStage), SystemClock())


if __name__ == "__main__":
    main()
