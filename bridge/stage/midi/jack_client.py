"""Our client on JACK: its life, through the server's deaths, and the callback that serves its MIDI ports.

RtMidi over JACK sends a period late and never learns that the server died; this does neither (docs/ARCHITECTURE.md,
Processes).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import Any, Protocol, TypeVar

from bridge.stage.midi.jack_wires import midi_ports
from bridge.stage.rack import Rack
from bridge.timing.jack_clock import cycle_reader
from engines.errors import SidemanError

PERIODS_AHEAD = 2
"""One for the cycle an event belongs to, one for the stage to be late in."""

CLOCK_CYCLES = 16
"""While nothing is to be sent or was heard, the clocks are compared only every so many cycles."""


class ClientPort(Protocol):
    """A port of ours, as the client and its callback use it.

    hears: whether it is an input
    """

    hears: bool

    def attach(self, own: Any, jack_client: Any) -> None:
        """Be this port of this client from now on."""
        ...

    def begin_cycle(self, missed: bool) -> bool:
        """In the callback, in each cycle: whether `cycle` is wanted. missed: some cycles before this one were."""
        ...

    def cycle(self, start_ns: float, ns_per_frame: float, frames: int) -> None:
        """In the callback: what belongs to the cycle that began at start_ns."""
        ...

    def waiting(self) -> bool:
        """Whether something is still to be sent."""
        ...

    def forget(self) -> None:
        """Drop what was to be sent to a server that died."""
        ...


P = TypeVar("P", bound=ClientPort)


class JackClient:
    """Our client.

    Of JACK's other callbacks only that of the server's end is taken: they come in an ordinary thread, and one that is
    interrupted while it holds the interpreter keeps the real-time threads waiting.
    """

    def __init__(self, name: str, reconnect: dict[str, tuple[str, ...]]) -> None:
        self._name = name
        self._reconnect = {port.rpartition(":")[2]: others for port, others in reconnect.items()}
        self._client: Any = None
        self._ports: dict[str, ClientPort] = {}
        self._served: tuple[ClientPort, ...] = ()
        self._lost = False
        self._cycles = 0
        self._next_frame = 0
        self._probe: subprocess.Popen[bytes] | None = None
        self._closed: list[Any] = []  # kept, as a thread of libjack may call back a little longer

    def start(self) -> None:
        """Become a client. Raises SidemanError when no server runs."""
        self._client = open_client(self._name)
        self._lost = False
        self._read_cycle = cycle_reader(self._client)
        self._client.set_process_callback(self._process)
        self._client.set_shutdown_callback(self._shut_down)
        self._client.activate()

    def free_name(self, wanted: str) -> str:
        """A short name that no port of ours has: a player may have several, and an input be called like it."""
        name, number = wanted, 2
        while name in self._ports:
            name, number = f"{wanted} {number}", number + 1
        return name

    def connected_before(self, short_name: str) -> tuple[str, ...]:
        """What the port of that name was connected to before a restart."""
        return self._reconnect.get(short_name, ())

    def add(self, short_name: str, port: P) -> P:
        """Make a port known to the server, now and whenever there is another, and serve it."""
        self._ports[short_name] = port
        self._register(short_name, port)
        return port

    @property
    def lead_ns(self) -> int:
        """How far ahead events have to come."""
        return int(PERIODS_AHEAD * self._client.blocksize * 1_000_000_000 // self._client.samplerate)

    @property
    def jack(self) -> Any:
        """The library's own client, for what is no port."""
        return self._client

    @property
    def lost(self) -> bool:
        """Whether the server has gone."""
        return self._lost

    def origins(self) -> tuple[str, ...]:
        """The ports of other programs that give MIDI; none while the server is away."""
        if not self.reopen():
            return ()
        own = f"{self._client.name}:"
        return tuple(name for name in midi_ports(self._client, is_input=False) if not name.startswith(own))

    def reopen(self) -> bool:
        """Become a client again, with all ports; whether a server runs.

        Another process tries first: opening a client of a server that is going or coming takes its time, and may take
        the process with it.
        """
        if not self._lost:
            return True
        self._close_client()
        self._served = ()
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
        for short_name, port in self._ports.items():
            port.forget()
            self._register(short_name, port)
        return True

    def close(self) -> None:
        """Let what was sent leave, and stop being a client. May be called twice."""
        if self._client and not self._lost:
            patience = 4 * PERIODS_AHEAD
            while patience and any(port.waiting() for port in self._served):
                time.sleep(self.lead_ns / PERIODS_AHEAD / 1e9)
                patience -= 1
            if self._served:
                time.sleep(self.lead_ns / 1e9)  # what was written in the last cycle is read in the next
        self._close_client()
        probe, self._probe = self._probe, None
        if probe:
            probe.kill()
            probe.wait()

    def _register(self, short_name: str, port: ClientPort) -> None:
        ports = self._client.midi_inports if port.hears else self._client.midi_outports
        port.attach(ports.register(short_name), self._client)
        self._served = (port, *self._served) if port.hears else (*self._served, port)  # heard first: see JackIn

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
        """JACK's callback, in its thread: none in it waits for a lock."""
        client = self._client
        if client is None:
            return
        frame = client.last_frame_time
        missed = frame != self._next_frame
        self._next_frame = (frame + frames) & 0xFFFFFFFF
        wanted = [port for port in self._served if port.begin_cycle(missed)]
        self._cycles += 1
        if wanted or not self._cycles % CLOCK_CYCLES:
            start_ns, ns_per_frame = self._read_cycle(frames)
            for port in wanted:
                port.cycle(start_ns, ns_per_frame, frames)


def shared_client(rack: Rack) -> JackClient:
    """The one client of a stage, started with its first port. Raises SidemanError when no server runs."""

    def make() -> JackClient:
        client = JackClient(rack.client_name, rack.reconnect)
        client.start()
        return client

    return rack.shared("JACK client", JackClient, make)


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


def open_client(name: str) -> Any:
    """A client of the running server, of python's JACK-Client. Raises SidemanError when none runs."""
    import jack

    jack.set_error_function(_ignore)
    jack.set_info_function(_ignore)
    try:
        return jack.Client(name, no_start_server=True)
    except jack.JackOpenError:
        raise SidemanError("no JACK server runs") from None


def _ignore(_text: str) -> None:
    """What libjack would print."""
