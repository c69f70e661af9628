"""MIDI ports of our own JACK client, served inside its process callback: each event has its frame, out and in."""

from __future__ import annotations

from typing import Any

from bridge.stage.midi.jack_client import JackClient, open_client, shared_client
from bridge.stage.midi.jack_queue import PortQueue
from bridge.stage.midi.jack_wires import Wires, midi_ports
from bridge.stage.midi.port import Deliver, InPort, OutPort, System
from bridge.stage.rack import Rack
from engines.errors import SidemanError


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
        make=lambda player, rack: _send(player, None, rack),
        connect=lambda name, player, rack: _send(player, name, rack),
        origins=lambda rack: shared_client(rack).origins(),
        hear=_hear,
    )


class JackPort:
    """A port of ours, with its connections; the client closes it."""

    def __init__(self, client: JackClient, wires: Wires) -> None:
        self.name = ""
        self._client = client
        self._wires = wires
        self._own: Any = None

    def attach(self, own: Any, jack_client: Any) -> None:
        """Be this port of this client from now on, and have again the connections from before."""
        self.name = str(own.name)
        self._own = own
        self._wires.attach(jack_client, own)

    def present(self) -> bool:
        """Whether the server runs and, for a port with a target, that is there."""
        return not self._client.lost and self._wires.look()

    def reopen(self) -> bool:
        """Have the server and the target back, and be connected."""
        if not self._client.reopen() or not self.present():
            return False
        self._wires.renew()
        return True

    def connections(self) -> tuple[str, ...] | None:
        """The other ends at the last look. A program that was connected before and is back was connected again then."""
        return self._wires.connections


class JackOut(JackPort):
    """A port that plays."""

    hears = False

    def __init__(self, client: JackClient, wires: Wires) -> None:
        super().__init__(client, wires)
        self._queue = PortQueue()

    @property
    def lead_ns(self) -> int:
        """Two periods."""
        return self._client.lead_ns

    def send(self, data: bytes, at_ns: int) -> None:
        """Queue a message for its frame."""
        self._queue.add(data, at_ns)

    def begin_cycle(self, missed: bool) -> bool:
        """Empty the cycle's buffer; after missed cycles, repeat what must not get lost."""
        self._own.clear_buffer()
        self._queue.next_cycle()
        if missed:
            self._queue.repeat_ends(self._own)
        return bool(self._queue)

    def cycle(self, start_ns: float, ns_per_frame: float, frames: int) -> None:
        """Send what belongs to the cycle."""
        self._queue.write(self._own, start_ns, ns_per_frame, frames)

    def waiting(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._queue)

    def forget(self) -> None:
        """Drop what was to be sent to a server that died."""
        self._queue.clear()

    def close(self) -> None:
        """What was sent leaves, while the client closes."""


class JackIn(JackPort):
    """A port that hears.

    A message's time is that of its frame in the cycle it came in, as it is for what we send: what another program sends
    back in the same cycle has the time it was sent for. What our own port sends straight to this one comes a period
    later, as JACK has it for circles: so the inputs are read before the outputs' buffers are emptied.
    """

    hears = True
    poll_ns = 0

    def __init__(self, client: JackClient, wires: Wires, deliver: Deliver) -> None:
        super().__init__(client, wires)
        self._deliver = deliver
        self._came: list[tuple[int, bytes]] = []
        self._closed = False

    def begin_cycle(self, missed: bool) -> bool:
        """Read the cycle's buffer."""
        self._came = [(frame, bytes(data)) for frame, data in self._own.incoming_midi_events()]
        return bool(self._came)

    def cycle(self, start_ns: float, ns_per_frame: float, frames: int) -> None:
        """Hand on what came, each with its time."""
        if self._closed:
            return
        for frame, data in self._came:
            self._deliver(data, round(start_ns + frame * ns_per_frame))

    def waiting(self) -> bool:
        """An input sends nothing."""
        return False

    def forget(self) -> None:
        """What came was handed on at once."""

    def poll(self) -> None:
        """JACK calls by itself."""

    def close(self) -> None:
        """Hear no more."""
        self._closed = True


def _send(player: str, target: str | None, rack: Rack) -> OutPort:
    client = shared_client(rack)
    name = client.free_name(player)
    return client.add(name, JackOut(client, _wires(client, name, target)))


def _hear(name: str, target: str | None, rack: Rack, deliver: Deliver) -> InPort:
    client = shared_client(rack)
    name = client.free_name(name)
    return client.add(name, JackIn(client, _wires(client, name, target), deliver))


def _wires(client: JackClient, name: str, target: str | None) -> Wires:
    return Wires(target, (target,) if target else client.connected_before(name))


def _destinations() -> tuple[str, ...]:
    client = open_client("sideman look")
    try:
        return midi_ports(client, is_input=True)
    finally:
        client.close()
