"""MIDI ports: one small protocol each for the way out and the way in, and for a system that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bridge.stage.rack import Rack

Deliver = Callable[[bytes, int], None]
"""Takes one whole message and when it came (perf_counter); called in whatever thread the system has for it."""


class Port(Protocol):
    """An open port.

    name: as other programs see it.
    """

    name: str

    def present(self) -> bool:
        """Whether the port can still be sent to, or heard."""
        ...

    def reopen(self) -> bool:
        """Try to get a lost port back; whether that worked. Quick, for it is called while others play."""
        ...

    def connections(self) -> tuple[str, ...] | None:
        """What our own port is connected to; None where the system does not tell."""
        ...

    def close(self) -> None:
        """Let out what was sent, hear no more, and close. May be called twice."""
        ...


class OutPort(Port, Protocol):
    """An open way out for MIDI."""

    @property
    def lead_ns(self) -> int:
        """How long before its moment an event must be sent."""
        ...

    def send(self, data: bytes, at_ns: int) -> None:
        """Let a message out at a time of perf_counter, or at once if it is late. Never waits."""
        ...


class InPort(Port, Protocol):
    """An open way in for MIDI.

    poll_ns: how often `poll` has to be called; 0 where the system calls by itself
    """

    poll_ns: int

    def poll(self) -> None:
        """Deliver what came since the last call."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """A system of MIDI ports found on this machine.

    name: for people; virtual: whether ports of our own can be made
    destinations: ports that exist, to send to; origins: those to hear from
    make opens a virtual port of that name to send to; connect opens an existing one.
    hear opens a way in under a name: a virtual port, or with a second name that existing one.
    """

    name: str
    virtual: bool
    destinations: Callable[[], tuple[str, ...]]
    make: Callable[[str, Rack], OutPort]
    connect: Callable[[str, str, Rack], OutPort]
    origins: Callable[[Rack], tuple[str, ...]]
    hear: Callable[[str, str | None, Rack, Deliver], InPort]


def match(names: Iterable[str], wanted: str) -> str | None:
    """The first name that contains `wanted`, whatever the case; an exact one goes first."""
    found = [name for name in names if wanted.lower() in name.lower()]
    return min(found, key=lambda name: name.lower() != wanted.lower(), default=None)
