"""MIDI ports of our own JACK client: an event leaves inside the process callback, on its frame."""

from __future__ import annotations

from typing import Any

from bridge.stage.inputs.jack_in import JackInput
from bridge.stage.inputs.port import Deliver, InPort
from bridge.stage.outputs.jack_client import JackClient, open_client, shared_client
from bridge.stage.outputs.jack_queue import PortQueue
from bridge.stage.outputs.jack_wires import Wires, midi_ports
from bridge.stage.outputs.output import Rack
from bridge.stage.outputs.ports import MidiPort, System
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
        origins=_origins,
        hear=_hear,
    )


class JackPort:
    """A port of ours that plays."""

    hears = False

    def __init__(self, client: JackClient, wires: Wires) -> None:
        self.name = ""
        self._client = client
        self._wires = wires
        self._queue = PortQueue()
        self._own: Any = None

    def attach(self, own: Any, jack_client: Any) -> None:
        """Be this port of this client from now on, and have again the connections from before."""
        self.name = str(own.name)
        self._own = own
        self._wires.attach(jack_client, own)

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

    @property
    def lead_ns(self) -> int:
        """Two periods."""
        return self._client.lead_ns

    def send(self, data: bytes, at_ns: int) -> None:
        """Queue a message for its frame."""
        self._queue.add(data, at_ns)

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
        """What heard us at the last look. A program that was connected before and is back was connected again then."""
        return self._wires.connections

    def close(self) -> None:
        """The client closes its ports."""


def _send(player: str, target: str | None, rack: Rack) -> MidiPort:
    client = shared_client(rack)
    name = client.free_name(player)
    wanted = (target,) if target else client.connected_before(name)
    return client.add(name, JackPort(client, Wires(target, wanted)))


def _hear(name: str, target: str | None, rack: Rack, deliver: Deliver) -> InPort:
    client = shared_client(rack)
    name = client.free_name(name)
    wanted = (target,) if target else client.connected_before(name)
    return client.add(name, JackInput(client, Wires(target, wanted), deliver))


def _origins(rack: Rack) -> tuple[str, ...]:
    return shared_client(rack).origins()


def _destinations() -> tuple[str, ...]:
    client = open_client("sideman look")
    try:
        return midi_ports(client, is_input=True)
    finally:
        client.close()
