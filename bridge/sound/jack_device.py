"""JACK as a sound device: a client of our own with one stereo pair of ports per player, and nothing else.

Frames are JACK's own: what was lost in a missed cycle is skipped. A frame is taken to be heard when JACK counts it, as
our MIDI on JACK is: the way from there to a loudspeaker is the same for both.

Of JACK's other callbacks only that of the server's end is taken: they come in an ordinary thread, and one that is
interrupted while it holds the interpreter keeps the real-time thread waiting. An xrun is seen by the frames it cost.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from bridge.messages.sound import DeviceSetup
from bridge.sound.console import Console
from bridge.sound.desk import Desk
from bridge.sound.device import Beat
from bridge.timing.jack_clock import cycle_reader
from engines.errors import SidemanError

FRAMES_MAX = 8192
"""JACK's own limit of a period."""

LOOK_S = 1.0
"""How often the wires are looked at."""

SIDES = ("left", "right")


class JackDevice:
    """The JACK server, if one runs; none is ever started."""

    def __init__(self, setup: DeviceSetup, desk: Desk) -> None:
        self._client_name = f"{setup.client_name} sound"
        self._reconnect = {port.rpartition(":")[2]: others for port, others in setup.reconnect.items()}
        self._desk = desk
        self._client: Any = None
        self._lost = False
        self._outs: tuple[tuple[int, Any, Any], ...] = ()
        self._wires: dict[str, tuple[str, ...]] | None = None
        self._frame = 0
        self._wrapped = 0
        self._next = 0
        self._next_look_s = 0.0
        self.name = "JACK"
        self.rate = 0
        self.beat: Beat

    def start(self) -> None:
        """Become a client. Raises SidemanError when no server runs."""
        import jack

        jack.set_error_function(_ignore)
        jack.set_info_function(_ignore)
        try:
            self._client = jack.Client(self._client_name, no_start_server=True)
        except jack.JackOpenError:
            raise SidemanError("no JACK server runs") from None
        self.rate = self._client.samplerate
        self.beat = Beat(self._desk, self.rate)
        self._console = Console(self._desk, self.rate, FRAMES_MAX)
        self._read_cycle = cycle_reader(self._client)
        self._frame = self._wrapped = self._next = self._client.last_frame_time
        self._client.set_process_callback(self._process)
        self._client.set_shutdown_callback(self._shut_down)
        self._client.activate()

    def add(self, index: int, name: str) -> None:
        """A pair of ports for a strip, connected as before, or to the first two of the sound card."""
        taken = {port.shortname for port in self._client.outports}
        short, number = name, 2
        while f"{short}_{SIDES[0]}" in taken:
            short, number = f"{name} {number}", number + 1
        left, right = (self._client.outports.register(f"{short}_{side}") for side in SIDES)
        self._console.add(index)
        self._outs = (*self._outs, (index, left, right))
        card = self._client.get_ports(is_audio=True, is_input=True, is_physical=True)[:2]
        for number, port in enumerate((left, right)):
            default = tuple(other.name for other in card[number : number + 1])
            for other in self._reconnect.get(port.shortname, default):
                with contextlib.suppress(Exception):  # it is not there now
                    self._client.connect(port, other)

    @property
    def latency_ns(self) -> int:
        """None in JACK's own time."""
        return 0

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return not self._lost

    def wired(self) -> dict[str, tuple[str, ...]] | None:
        """What our ports are connected to, when that has changed."""
        now_s = time.monotonic()
        if self._lost or now_s < self._next_look_s:
            return None
        self._next_look_s = now_s + LOOK_S
        wires = {}
        for _, *ports in self._outs:
            for port in ports:
                with contextlib.suppress(Exception):  # the server has just gone
                    others = self._client.get_all_connections(port)
                    wires[str(port.name)] = tuple(sorted(other.name for other in others))
        if wires == self._wires:
            return None
        self._wires = wires
        return wires

    def close(self) -> None:
        """Stop being a client."""
        if self._client and not self._lost:
            with contextlib.suppress(Exception):
                self._client.deactivate()
                self._client.close()

    def _shut_down(self, _status: object, _reason: str) -> None:
        self._lost = True

    def _process(self, frames: int) -> None:
        began_ns = time.perf_counter_ns()
        wrapped = self._client.last_frame_time
        first = self._frame + ((wrapped - self._wrapped) & 0xFFFFFFFF)
        if first != self._next:
            self.beat.xrun()
        self._frame, self._wrapped, self._next = first, wrapped, first + frames
        for index, left, right in self._outs:  # each get_array is a view of JACK's own memory
            part = self._console.single(index, first, frames)
            left.get_array()[:] = part[:, 0]
            right.get_array()[:] = part[:, 1]
        start_ns, _ = self._read_cycle(frames)
        self.beat.took(first, frames, round(start_ns), began_ns)


def _ignore(_text: str) -> None:
    """What libjack would print."""
