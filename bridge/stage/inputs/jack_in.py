"""A MIDI input on JACK: what comes is stamped with its frame's time, inside the process callback."""

from __future__ import annotations

from typing import Any

from bridge.stage.inputs.port import Deliver
from bridge.stage.outputs.jack_client import JackClient
from bridge.stage.outputs.jack_wires import Wires


class JackInput:
    """A port of ours that hears.

    A message's time is that of its frame in the cycle it came in, as it is for what we send: what another program sends
    back in the same cycle has the time it was sent for. What our own port sends straight to this one comes a period
    later, as JACK has it for circles: so the inputs are read before the outputs' buffers are emptied.
    """

    hears = True
    poll_ns = 0

    def __init__(self, client: JackClient, wires: Wires, deliver: Deliver) -> None:
        self.name = ""
        self._client = client
        self._wires = wires
        self._deliver = deliver
        self._own: Any = None
        self._came: list[tuple[int, bytes]] = []
        self._closed = False

    def attach(self, own: Any, jack_client: Any) -> None:
        """Be this port of this client from now on, and have again the connections from before."""
        self.name = str(own.name)
        self._own = own
        self._wires.attach(jack_client, own)

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
        """What we hear, as of the last look."""
        return self._wires.connections

    def close(self) -> None:
        """Hear no more; the client closes its ports."""
        self._closed = True
