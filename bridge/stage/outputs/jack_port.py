"""MIDI ports on JACK, as a client of our own: an event leaves inside the process callback, on its frame.

RtMidi over JACK sends a period late and never learns that the server died; this does neither (docs/ARCHITECTURE.md,
Processes).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import Any

from bridge.stage.outputs.jack_clock import cycle_reader
from bridge.stage.outputs.jack_queue import PortQueue
from bridge.stage.outputs.output import Rack
from bridge.stage.outputs.ports import System
from engines.errors import SidemanError

PERIODS_AHEAD = 2
"""One for the cycle an event belongs to, one for the stage to be late in."""

CLOCK_CYCLES = 16
"""While nothing is to be sent, the clocks are compared only every so many cycles."""


def system() -> System | str:
    """JACK, if a server runs; or why not. No server is ever started."""
    try:
        _destinations()
    except OSError:
        return "the JACK library is not here (libjack-jackd2-0)"
    except SidemanError as error:
        return str(error)
    return System(
        name="JACK",
        virtual=True,
        destinations=_destinations,
        make=lambda player, rack: _client(rack).port(player, None),
        connect=lambda name, player, rack: _client(rack).port(player, name),
    )


class JackClient:
    """Our client: its ports, their queues, and the callback that empties them.

    Of JACK's other callbacks only that of the server's end is taken: they come in an ordinary thread, and one that is
    interrupted while it holds the interpreter keeps the real-time threads waiting.
    """

    def __init__(self, name: str, reconnect: dict[str, tuple[str, ...]]) -> None:
        self._name = name
        self._reconnect = {port.rpartition(":")[2]: others for port, others in reconnect.items()}
        self._client: Any = None
        self._ports: dict[str, JackPort] = {}
        self._queues: tuple[tuple[Any, PortQueue], ...] = ()
        self._lost = False
        self._cycles = 0
        self._next_frame = 0
        self._probe: subprocess.Popen[bytes] | None = None
        self._closed: list[Any] = []  # kept, as a thread of libjack may call back a little longer

    def start(self) -> None:
        """Become a client. Raises SidemanError when no server runs."""
        self._client = _open(self._name)
        self._lost = False
        self._read_cycle = cycle_reader(self._client)
        self._client.set_process_callback(self._process)
        self._client.set_shutdown_callback(self._shut_down)
        self._client.activate()

    def port(self, player: str, target: str | None) -> JackPort:
        """A port of ours for a player; with a target, connected to it."""
        wanted = (target,) if target else self._reconnect.get(player, ())
        name, number = player, 2
        while name in self._ports:  # a player may have several
            name, number = f"{player} {number}", number + 1
        port = JackPort(self, name, target, wanted)
        self._ports[name] = port
        self.register(port)
        return port

    def register(self, port: JackPort) -> None:
        """Make the port known to the server and to the callback."""
        port.attach(self._client.midi_outports.register(port.short_name), self._client)
        self._queues = tuple((port.own, port.queue) for port in self._ports.values() if port.own)

    @property
    def lead_ns(self) -> int:
        """How far ahead events have to come."""
        return int(PERIODS_AHEAD * self._client.blocksize * 1_000_000_000 // self._client.samplerate)

    @property
    def lost(self) -> bool:
        """Whether the server has gone."""
        return self._lost

    def reopen(self) -> bool:
        """Become a client again, with all ports; whether a server runs.

        Another process tries first: opening a client of a server that is going or coming takes its time, and may take
        the process with it.
        """
        if not self._lost:
            return True
        self._close_client()
        self._queues = ()
        probe, self._probe = self._probe, None
        if probe is None:
            self._probe = start_probe()
            return False
        if probe.poll() is None:
            self._probe = probe
            return False
        if probe.returncode:
            self._probe = start_probe()
            return False
        try:
            self.start()
        except SidemanError:
            self._lost = True
            return False
        for port in self._ports.values():
            port.queue.clear()
            self.register(port)
        return True

    def close(self) -> None:
        """Let what was sent leave, and stop being a client. May be called twice."""
        if self._client and not self._lost:
            patience = 4 * PERIODS_AHEAD
            while patience and any(queue for _, queue in self._queues):
                time.sleep(self.lead_ns / PERIODS_AHEAD / 1e9)
                patience -= 1
            if self._queues:
                time.sleep(self.lead_ns / 1e9)  # what was written in the last cycle is read in the next
        self._close_client()
        probe, self._probe = self._probe, None
        if probe:
            probe.kill()
            probe.wait()

    def _close_client(self) -> None:
        client = self._client
        if client:
            self._closed.append(client)
            with contextlib.suppress(Exception):
                client.deactivate()  # the callback is over when this returns
            self._client = None
            with contextlib.suppress(Exception):
                client.close()

    def _shut_down(self, _status: object, _reason: str) -> None:
        self._lost = True

    def _process(self, frames: int) -> None:
        """JACK's callback, in its thread: no message of ours is made here, none waits for a lock."""
        for port, queue in self._queues:
            port.clear_buffer()
            queue.next_cycle()
        self._cycles += 1
        client = self._client
        if client is None:
            return
        frame = client.last_frame_time
        if frame != self._next_frame:  # a cycle was missed
            for port, queue in self._queues:
                queue.repeat_ends(port)
        self._next_frame = (frame + frames) & 0xFFFFFFFF
        if self._cycles % CLOCK_CYCLES and not any(queue for _, queue in self._queues):
            return
        start_ns, ns_per_frame = self._read_cycle(frames)
        for port, queue in self._queues:
            queue.write(port, start_ns, ns_per_frame, frames)


class JackPort:
    """A port of ours on JACK."""

    def __init__(self, client: JackClient, player: str, target: str | None, wanted: tuple[str, ...]) -> None:
        self.short_name = player
        self.queue = PortQueue()
        self.own: Any = None
        self.name = player
        self._client = client
        self._jack: Any = None
        self._target = target
        self._wanted = set(wanted)
        self._connections: tuple[str, ...] = ()
        self._target_present = True

    def attach(self, own: Any, jack_client: Any) -> None:
        """Be this port of this client from now on, and have again the connections from before."""
        self.own = own
        self._jack = jack_client
        self.name = str(own.name)
        self._wanted |= {*self._connections, *((self._target,) if self._target else ())}
        self._connect_wanted()

    @property
    def lead_ns(self) -> int:
        """Two periods."""
        return self._client.lead_ns

    def send(self, data: bytes, at_ns: int) -> None:
        """Queue a message for its frame."""
        self.queue.add(data, at_ns)

    def present(self) -> bool:
        """Whether the server runs and, for a port with a target, that is there."""
        if self._client.lost:
            return False
        self._look()
        return self._target_present

    def reopen(self) -> bool:
        """Have the server and the target back, and be connected."""
        if not self._client.reopen() or not self.present():
            return False
        if self._target:
            self._wanted.add(self._target)
        self._connect_wanted()
        return True

    def connections(self) -> tuple[str, ...] | None:
        """What heard us at the last look. A program that was connected before and is back was connected again then."""
        return self._connections

    def close(self) -> None:
        """The client closes its ports."""

    def _look(self) -> None:
        """See what is connected now, and connect what ought to be."""
        if self._client.lost:
            return
        self._connect_wanted()
        with contextlib.suppress(Exception):
            self._connections = tuple(sorted(port.name for port in self._jack.get_all_connections(self.own)))
        self._target_present = not self._target or self._target in _midi_inputs(self._jack)

    def _connect_wanted(self) -> None:
        if not self._wanted:
            return
        for name in self._wanted.intersection(_midi_inputs(self._jack)):
            with contextlib.suppress(Exception):  # already connected, or gone again
                self._jack.connect(self.own, name)
            self._wanted.discard(name)


def start_probe(server: str = "") -> subprocess.Popen[bytes]:
    """A process that leaves with 0 if a JACK server (the default one, or that of a name) takes clients."""
    environment = {**os.environ, "JACK_DEFAULT_SERVER": server} if server else None
    program = "import jack; jack.Client('sideman look', no_start_server=True).close()"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _client(rack: Rack) -> JackClient:
    def make() -> JackClient:
        client = JackClient(rack.client_name, rack.reconnect)
        client.start()
        return client

    return rack.shared("JACK client", JackClient, make)


def _open(name: str) -> Any:
    import jack

    jack.set_error_function(_ignore)
    jack.set_info_function(_ignore)
    try:
        return jack.Client(name, no_start_server=True)
    except jack.JackOpenError:
        raise SidemanError("no JACK server runs") from None


def _ignore(_text: str) -> None:
    """What libjack would print."""


def _destinations() -> tuple[str, ...]:
    client = _open("sideman look")
    try:
        return _midi_inputs(client)
    finally:
        client.close()


def _midi_inputs(client: Any) -> tuple[str, ...]:
    try:
        return tuple(port.name for port in client.get_ports(is_midi=True, is_input=True))
    except Exception:  # the server went away
        return ()
