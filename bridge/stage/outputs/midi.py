"""The `midi` output: a player's notes on a port of its own, or on an existing one, each part on its channel."""

from __future__ import annotations

from bridge.messages.message import Message
from bridge.messages.stage import Connections, EpochStarted, Event, Piece, PlayerSetup, PortChanged, Stopped
from bridge.stage.midi.numbers import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN
from bridge.stage.midi.port import OutPort
from bridge.stage.midi.systems import open_existing, open_virtual
from bridge.stage.rack import Rack

RETRY_NS = 1_000_000_000


class MidiOutput:
    """Plays a player on MIDI; survives the loss of the port, and takes it up again when it is back."""

    def __init__(self, player: PlayerSetup, target: str, rack: Rack) -> None:
        self._player = player.name
        self._channel = player.channel - 1
        self._used = {self._channel}  # channels on which something may sound
        self._programs = {player.channels[part - 1] - 1: program for part, program in player.programs.items()}
        self._target = target
        self._rack = rack
        self._port: OutPort | None = None
        self._present = True
        self._next_try_ns = 0
        self._connections: tuple[str, ...] | None = None
        self.lead_ns = 0

    def open(self) -> str:
        """Open the port; raises SidemanError with the remedy when there is none to open."""
        if self._target:
            self._port = open_existing(self._target, self._player, self._rack)
        else:
            self._port = open_virtual(self._player, self._rack)
        self.lead_ns = self._port.lead_ns
        self._note_heard()
        self._say_programs()
        return f"MIDI {self._port.name}, channel {self._channel + 1}"

    def send(self, event: Event) -> None:
        """Send a note-on or note-off; while the port is lost, nothing."""
        if self._port and self._present:
            channel = event.channel - 1
            self._used.add(channel)
            status = (0x90 if event.velocity else 0x80) | channel
            self._port.send(bytes((status, event.pitch, event.velocity or 64)), event.at_ns)

    def clock(self, status: int, data: tuple[int, ...], at_ns: int) -> None:
        """Send a clock, start, continue, stop or song position; while the port is lost, nothing."""
        if self._port and self._present:
            self._port.send(bytes((status, *data)), at_ns)

    def timeline(self, message: Piece | EpochStarted | Stopped) -> None:
        """Playing begins: say the programs once more, to whoever has been switched on since."""
        if isinstance(message, EpochStarted):
            self._say_programs()

    def raw(self, data: tuple[int, ...]) -> None:
        """Send a channel message at once, on the player's channel."""
        if self._port and self._present:
            self._port.send(bytes((data[0] & 0xF0 | self._channel, *data[1:])), 0)

    def panic(self) -> None:
        """Sustain off, all notes off, all sound off, on every channel that was played on."""
        if self._port and self._present:
            for channel in sorted(self._used):
                for controller in (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF):
                    self._port.send(bytes((0xB0 | channel, controller, 0)), 0)

    def poll(self, now_ns: int) -> list[Message]:
        """Tell of a port that was lost or came back, and of new connections."""
        if not self._port:
            return []
        changes: list[Message] = []
        if self._present and not self._port.present():
            self._present = False
            self._connections = None
            self._next_try_ns = now_ns
            changes.append(PortChanged(self._port.name, False, f"MIDI port {self._port.name} is gone; waiting for it"))
        if not self._present and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + RETRY_NS
            if self._port.reopen():
                self._present = True
                self.panic()
                self._say_programs()
                changes.append(PortChanged(self._port.name, True, f"MIDI port {self._port.name} is back"))
        if self._present:
            connections = self._port.connections()
            if connections is not None and connections != self._connections:
                self._connections = connections
                self._say_programs()
                changes.append(Connections({self._port.name: connections}))
        self._note_heard()
        return changes

    def _say_programs(self) -> None:
        """Have each part sound like itself, where the set asks for that."""
        if self._port and self._present:
            for channel, program in self._programs.items():
                self._port.send(bytes((0xC0 | channel, program)), 0)

    def _note_heard(self) -> None:
        """An existing port was chosen to be heard; our own is when something is connected to it."""
        if self._present and (self._target or self._connections):
            self._rack.heard.add(self._player)
        else:
            self._rack.heard.discard(self._player)

    def close(self) -> None:
        """Close the port."""
        if self._port:
            self._port.close()
            self._port = None
