"""What a port of ours on JACK is connected to, ought to be, and was before the server or the other program went."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any


class Wires:
    """The connections of one port: `target` if it has one, always; others again once, if they were there before."""

    def __init__(self, target: str | None, wanted: Iterable[str]) -> None:
        self._target = target
        self._wanted = set(wanted)
        self._jack: Any = None
        self._own: Any = None
        self.connections: tuple[str, ...] = ()

    def attach(self, jack_client: Any, own: Any) -> None:
        """Belong to this port of this client from now on, and have the connections from before."""
        self._jack = jack_client
        self._own = own
        self._wanted |= {*self.connections, *((self._target,) if self._target else ())}
        self._connect_wanted()

    def look(self) -> bool:
        """See what is connected now, connect what ought to be; whether the target is there."""
        self._connect_wanted()
        with contextlib.suppress(Exception):
            self.connections = tuple(sorted(port.name for port in self._jack.get_all_connections(self._own)))
        return not self._target or self._target in self._others()

    def renew(self) -> None:
        """The target is back: connect it again."""
        if self._target:
            self._wanted.add(self._target)
        self._connect_wanted()

    def _connect_wanted(self) -> None:
        if not self._wanted:
            return
        for name in self._wanted.intersection(self._others()):
            ends = (name, self._own) if self._own.is_input else (self._own, name)
            with contextlib.suppress(Exception):  # already connected, or gone again
                self._jack.connect(*ends)
            self._wanted.discard(name)

    def _others(self) -> tuple[str, ...]:
        return midi_ports(self._jack, is_input=not self._own.is_input)


def midi_ports(client: Any, *, is_input: bool) -> tuple[str, ...]:
    """Full names of the MIDI ports that take (is_input) or give MIDI."""
    try:
        return tuple(port.name for port in client.get_ports(is_midi=True, is_input=is_input, is_output=not is_input))
    except Exception:  # the server went away
        return ()
