"""One MIDI input: its port, what waits to be read, and what to do when the port goes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from bridge.messages.hearing import InputSetup
from bridge.messages.message import Message, Trouble
from bridge.messages.stage import Connections, PortChanged
from bridge.stage.inputs.mailbox import Mailbox, RawMidi
from bridge.stage.midi.numbers import CLOCK, CONTINUE, SONG_POSITION, START, STOP
from bridge.stage.midi.port import InPort, System, match
from bridge.stage.midi.systems import systems
from bridge.stage.rack import Rack
from engines.errors import SidemanError

RETRY_NS = 1_000_000_000

FLOOD_OVER_NS = 2_000_000_000
"""A flood is over when nothing was dropped for so long."""

CLOCK_WINDOW_NS = 50_000_000
CLOCK_WINDOW_MESSAGES = 64
"""No clock sends more: this would be 3,200 bpm. What comes beyond is dropped as it comes, before it wakes anyone."""

CLOCK_MESSAGES = frozenset({CLOCK, SONG_POSITION, START, CONTINUE, STOP})


class Input:
    """A port by its name, or a virtual one called like the input; the same again after it was lost.

    `deliver` runs in the system's thread; everything else in the stage's.
    """

    def __init__(self, setup: InputSetup, rack: Rack, wake: Callable[[], None]) -> None:
        self.name = setup.name
        self._setup = setup
        self._rack = rack
        self._wake = wake
        self._port: InPort | None = None
        self._systems: list[System] = []
        self._wanted = ""
        self._present = False
        self._next_try_ns = 0
        self._connections: tuple[str, ...] | None = None
        self._messages = Mailbox()
        self._clock: Mailbox | None = None
        self._clock_window_ns = 0
        self._clock_room = CLOCK_WINDOW_MESSAGES
        self._clock_lost = 0
        self._held: set[tuple[int, int]] = set()
        self._lost = 0
        self._lost_at_ns: int | None = None

    @property
    def present(self) -> bool:
        """Whether the port is there."""
        return self._present

    @property
    def lost(self) -> int:
        """Messages of floods that were dropped, so far."""
        return self._messages.lost + self._clock_lost

    @property
    def poll_ns(self) -> int:
        """How often to call `poll_port`; 0 where what comes wakes by itself."""
        return self._port.poll_ns if self._port else 0

    def poll_port(self) -> None:
        """Have the port deliver what it keeps."""
        if self._port:
            self._port.poll()

    def open(self) -> str:
        """Open the port, or wait for it; returns a line for people.

        Raises SidemanError with the remedy where this machine has no MIDI, or no virtual ports and none was named.
        """
        if self._port or self._systems:
            return f"MIDI input {self._named()}"  # the set has it, and the clock comes there too
        self._systems, reasons = systems()
        if not self._systems:
            raise SidemanError(f"input {self.name}: no MIDI here: {'; '.join(reasons)}")
        wanted = self._setup.port or self._virtual()
        if wanted is None:
            return f"MIDI input {self._named()}"
        self._wanted = wanted
        names = self._find(wanted)
        if self._port:
            return f"MIDI input {self._named()}"
        return f"MIDI input {self.name}: waiting for a port that matches {wanted!r}; there are: {names}"

    def hear_clock(self, on: bool) -> None:
        """Keep clock messages from now on, for `take_clock`; else they are passed over as they come."""
        self._clock = Mailbox() if on else None

    def take_clock(self) -> list[RawMidi]:
        """Clocks, start, continue, stop and song position that came since the last call."""
        return self._clock.take() if self._clock else []

    def take(self, at_most: int) -> list[RawMidi]:
        """Channel messages that came, in order: those of the input's channel."""
        messages = self._messages.take(at_most)
        for message in messages:
            note = (message.data[0] & 0x0F, message.data[1])
            if message.data[0] & 0xF0 == 0x90 and message.data[2]:
                self._held.add(note)
            elif message.data[0] & 0xE0 == 0x80:
                self._held.discard(note)
        return messages

    def end_held(self, now_ns: int) -> list[RawMidi]:
        """The ends of notes that were held when the port went."""
        if self._present or not self._held:
            return []
        ends = [RawMidi(self.name, (0x80 | channel, pitch, 64), now_ns) for channel, pitch in sorted(self._held)]
        self._held.clear()
        return ends

    def deliver(self, data: bytes, at_ns: int) -> None:
        """A message that came in; what nobody here reads (system exclusive, active sensing) is passed over."""
        status = data[0] if data else 0
        if 0x80 <= status < 0xF0:
            whole = len(data) == (2 if status & 0xE0 == 0xC0 else 3) and max(data[1:]) < 0x80
            if whole and self._setup.channel in (0, (status & 0x0F) + 1):
                self._messages.put(RawMidi(self.name, (status, data[1], data[2] if len(data) == 3 else 0), at_ns))
                self._wake()
        elif status in CLOCK_MESSAGES and len(data) == (3 if status == SONG_POSITION else 1):
            clock = self._clock
            if clock is not None and self._has_room(at_ns):
                clock.put(RawMidi(self.name, tuple(data), at_ns))
                self._wake()

    def look(self, now_ns: int) -> list[Message]:
        """Tell of a port that went or is back, and of a flood, once; call about four times a second."""
        said = self._look_at_flood(now_ns)
        if self._present and self._port and not self._port.present():
            self._present = False
            self._next_try_ns = now_ns
            said.append(PortChanged(self._port.name, False, f"MIDI input {self._named()} is gone; waiting for it"))
        if not self._present and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + RETRY_NS
            back = "back"
            if self._port:
                self._present = self._port.reopen()
            elif self._wanted:
                with contextlib.suppress(SidemanError):  # another program holds it: later, perhaps
                    self._find(self._wanted)
                back = "here"
            if self._port and self._present:
                said.append(PortChanged(self._port.name, True, f"MIDI input {self._named()} is {back}"))
        connections = self._port.connections() if self._port and self._present else None
        if self._port and connections is not None and connections != self._connections:
            said.append(Connections({self._port.name: connections}))
        self._connections = connections
        return said

    def close(self) -> None:
        """Close the port."""
        if self._port:
            self._port.close()
            self._port = None
        self._present = False

    def _has_room(self, at_ns: int) -> bool:
        """Whether a clock message may still come in this window."""
        if at_ns - self._clock_window_ns > CLOCK_WINDOW_NS:
            self._clock_window_ns, self._clock_room = at_ns, CLOCK_WINDOW_MESSAGES
        self._clock_room -= 1
        if self._clock_room < 0:
            self._clock_lost += 1
        return self._clock_room >= 0

    def _virtual(self) -> str | None:
        """Make a port of our own; where there are none (Windows), what to look for in existing ones."""
        for system in self._systems:
            if system.virtual:
                self._opened(system.hear(self.name, None, self._rack, self.deliver))
                return None
        return self.name

    def _find(self, wanted: str) -> str:
        """Open the first port that matches, if there is one; returns the names of those there are."""
        names: list[str] = []
        for system in self._systems:
            here = system.origins(self._rack)
            found = match(here, wanted)
            if found:
                self._opened(system.hear(self.name, found, self._rack, self.deliver))
                break
            names += here
        return ", ".join(names) or "no ports at all"

    def _opened(self, port: InPort) -> None:
        self._port = port
        self._present = True
        self._systems = []  # and with them whatever they keep open to look

    def _named(self) -> str:
        port = self._port.name if self._port else self._setup.port
        return self.name if self.name == port else f"{self.name} ({port})"

    def _look_at_flood(self, now_ns: int) -> list[Message]:
        lost, self._lost = self._lost, self.lost
        if self._lost > lost:
            begun, self._lost_at_ns = self._lost_at_ns is None, now_ns
            if begun:
                return [Trouble(f"MIDI input {self.name} is flooded: its oldest messages are dropped, but no note-off")]
        elif self._lost_at_ns is not None and now_ns > self._lost_at_ns + FLOOD_OVER_NS:
            self._lost_at_ns = None
        return []
