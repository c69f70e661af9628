"""The patch bay: the open outputs of every player, and who of them is told what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import structs

from bridge.messages.message import Message
from bridge.messages.stage import EpochStarted, Event, OutputSetup, Piece, PlayerSetup, Setup, Stopped
from bridge.stage.bars import LoopStarts
from bridge.stage.outbox import Departure, Line
from bridge.stage.outputs.output import (
    FollowsTimeline,
    Mixes,
    Output,
    PlaysLoops,
    SendsClock,
    SendsRaw,
    Settles,
    make_output,
)
from bridge.stage.rack import Rack
from bridge.stage.scheduler import Player
from engines.errors import SidemanError
from engines.music import LoopFile


class Patchbay:
    """What a stage plays on. `open` acquires the outputs, `close` gives them up."""

    def __init__(self, setup: Setup) -> None:
        self.rack = Rack(setup.client_name, setup.reconnect)
        self._players = setup.players
        self._outputs: dict[str, list[Output]] = {player.name: [] for player in setup.players}
        self._lines: dict[str, list[Line]] = {player.name: [] for player in setup.players}
        self._clocked: set[tuple[str, str]] = set()

    def open(self) -> tuple[list[str], list[str]]:
        """Open all outputs: a line for people for each that is there, and for each that is not."""
        lines, problems = [], []
        for player in self._players:
            for setup in player.outputs:
                try:
                    output = make_output(setup, player, self.rack)
                    lines.append(output.open())
                except SidemanError as error:
                    problems.append(str(error))
                    continue
                self._outputs[player.name].append(output)
                self._lines[player.name].append(self._line(setup, player, output))
        for output in self._all():
            if isinstance(output, Settles):
                output.settle()
        return lines, problems

    def players(self) -> tuple[Player, ...]:
        """Who plays, as the scheduler needs it, once the outputs are open."""
        return tuple(
            Player(player.name, player.channel, tuple(self._lines[player.name]), player.channels)
            for player in self._players
        )

    def plays(self, player: str) -> bool:
        """Whether a player has any output."""
        return bool(self._outputs.get(player))

    def deliver(self, departure: Departure) -> int:
        """Hand a departure to its output; returns when that was due."""
        event = departure.event
        output = self._outputs[event.player][departure.output]
        if isinstance(event, Event):
            output.send(event)
        elif isinstance(output, SendsClock):
            output.clock(event.status, event.data, event.at_ns)
        return event.at_ns - output.lead_ns

    def send(self, player: str, event: Event) -> None:
        """An event at once to all outputs of a player."""
        for output in self._outputs.get(player, []):
            output.send(event)

    def raw(self, player: str, data: tuple[int, ...]) -> None:
        """A channel message at once to the outputs of a player that take one."""
        for output in self._outputs.get(player, []):
            if isinstance(output, SendsRaw):
                output.raw(data)

    def cue(self, player: str, loop: LoopFile) -> None:
        """A loop may be played soon."""
        for output in self._outputs.get(player, []):
            if isinstance(output, PlaysLoops):
                output.cue(loop)

    def loop_starts(self, starts: LoopStarts) -> None:
        """A loop, or silence after one, is sure to play."""
        for output in self._outputs[starts.player]:
            if isinstance(output, PlaysLoops):
                output.loop_starts(starts.loop, starts.tick, starts.length_ticks)

    def timeline(self, message: Piece | EpochStarted | Stopped) -> None:
        """What becomes of the timeline, for the outputs that mirror it: a Piece earlier by an output's latency."""
        for name, outputs in self._outputs.items():
            for output, line in zip(outputs, self._lines[name], strict=True):
                if not isinstance(output, FollowsTimeline):
                    continue
                if isinstance(message, Piece) and line.latency_ns:
                    output.timeline(structs.replace(message, at_ns=message.at_ns - line.latency_ns))
                else:
                    output.timeline(message)

    def mix(self, player: str, do: Callable[[Mixes], None]) -> None:
        """Move the faders of a player."""
        for output in self._outputs.get(player, []):
            if isinstance(output, Mixes):
                do(output)

    def panic(self) -> None:
        """Silence everything."""
        for output in self._all():
            output.panic()

    def poll(self, now_ns: int) -> list[Message]:
        """What is new about the outputs."""
        return [message for output in self._all() for message in output.poll(now_ns)]

    def close(self) -> None:
        """Silence and close all outputs. May be called twice."""
        for output in self._all():
            output.panic()
            output.close()
        self.rack.close()

    def _line(self, setup: OutputSetup, player: PlayerSetup, output: Output) -> Line:
        """A port that several players share gets the clock once."""
        port = (setup.kind, setup.target or player.name)
        clock = setup.clock and isinstance(output, SendsClock) and port not in self._clocked
        if clock:
            self._clocked.add(port)
        return Line(output.lead_ns, round(setup.latency_ms * 1_000_000), clock)

    def _all(self) -> Iterator[Output]:
        for outputs in self._outputs.values():
            yield from outputs
