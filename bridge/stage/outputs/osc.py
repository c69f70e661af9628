"""The `osc` output: each note as a message at its moment.

/sideman/PLAYER/note pitch velocity tick, all integers: a velocity of 0 ends the note; tick is its song position, 960 a
beat (docs/ARCHITECTURE.md, OSC). A note of a part has its MIDI channel as the fourth. Without a target it goes to the
clients that subscribed, with one to HOST:PORT.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from bridge.control.pattern import covers
from bridge.messages.message import Message
from bridge.messages.stage import Event, PlayerSetup
from bridge.stage.rack import Rack
from engines.errors import SidemanError

Address = tuple[int, tuple[str, int]]
"""Socket family and where to send."""


class OscOutput:
    """Sends a player's notes over UDP."""

    lead_ns = 0

    def __init__(self, player: PlayerSetup, target: str, rack: Rack) -> None:
        self._address = f"/sideman/{player.name}/note"
        self._head = _osc_string(self._address) + _osc_string(",iii")
        self._head_of_part = _osc_string(self._address) + _osc_string(",iiii")
        self._target = target
        self._rack = rack
        self._sockets: dict[int, socket.socket] = {}
        self._fixed: tuple[Address, ...] = ()
        self._subscribers: tuple[tuple[str, int, str], ...] = ()
        self._addresses: tuple[Address, ...] = ()

    def open(self) -> str:
        """Look the target up, if there is one.

        Raises SidemanError for a target that is no HOST:PORT or cannot be found.
        """
        if not self._target:
            return f"OSC {self._address} to whoever subscribes"
        host, colon, port = self._target.rpartition(":")
        found: list[Address] = []
        if colon and host and port.isdecimal() and 0 < int(port) < 1 << 16:
            with contextlib.suppress(OSError):
                found = _lookup(host.strip("[]"), int(port))
        if not found:
            raise SidemanError(f"osc:{self._target} cannot be sent to; write osc:HOST:PORT, as in osc:127.0.0.1:9000")
        self._fixed = tuple(found[:1])
        self._addresses = self._fixed
        return f"OSC {self._address} to {self._target}"

    def send(self, event: Event) -> None:
        """Send one message to everyone. A receiver that is not there is not our trouble."""
        if not self._target and self._rack.subscribers is not self._subscribers:
            self._update_subscribers()
        if not self._addresses:
            return
        tick = max(-1 << 31, min(event.song_tick, (1 << 31) - 1))
        if event.part:
            data = self._head_of_part + struct.pack(">iiii", event.pitch, event.velocity, tick, event.channel)
        else:
            data = self._head + struct.pack(">iii", event.pitch, event.velocity, tick)
        for family, address in self._addresses:
            with contextlib.suppress(OSError):
                self._socket(family).sendto(data, address)

    def panic(self) -> None:
        """A client knows what it plays; it got every note's end."""

    def poll(self, now_ns: int) -> list[Message]:
        """UDP has nothing to lose."""
        return []

    def close(self) -> None:
        """Close the sockets."""
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _update_subscribers(self) -> None:
        self._subscribers = self._rack.subscribers
        addresses: list[Address] = []
        for host, port, pattern in self._subscribers:
            with contextlib.suppress(OSError, SidemanError):
                if covers(pattern, self._address):
                    addresses += _lookup(host, port, numeric=True)[:1]
        self._addresses = tuple(dict.fromkeys(addresses))

    def _socket(self, family: int) -> socket.socket:
        if family not in self._sockets:
            self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
            self._sockets[family].setblocking(False)
        return self._sockets[family]


def _lookup(host: str, port: int, *, numeric: bool = False) -> list[Address]:
    flags = socket.AI_NUMERICHOST if numeric else 0
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    return [(int(family), (str(address[0]), port)) for family, _, _, _, address in infos]


def _osc_string(text: str) -> bytes:
    data = text.encode()
    return data + b"\0" * (4 - len(data) % 4)
