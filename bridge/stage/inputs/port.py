"""MIDI ports to hear from: one small protocol, and the choice of a port by its name.

The systems are those of the outputs (bridge/stage/outputs/ports.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Deliver = Callable[[bytes, int], None]
"""Takes one whole message and when it came (perf_counter); called in whatever thread the system has for it."""


class InPort(Protocol):
    """An open way in for MIDI.

    name: as other programs see it.
    poll_ns: how often `poll` has to be called; 0 where the system calls by itself
    """

    name: str
    poll_ns: int

    def poll(self) -> None:
        """Deliver what came since the last call."""
        ...

    def present(self) -> bool:
        """Whether something can still be heard there."""
        ...

    def reopen(self) -> bool:
        """Try to get a lost port back; whether that worked. Quick, for it is called while others play."""
        ...

    def connections(self) -> tuple[str, ...] | None:
        """What our own port is connected to; None where the system does not tell."""
        ...

    def close(self) -> None:
        """Hear no more. May be called twice."""
        ...


def match(names: tuple[str, ...], wanted: str) -> str | None:
    """The first name that contains `wanted`, whatever the case; an exact one goes first."""
    found = [name for name in names if wanted.lower() in name.lower()]
    return min(found, key=lambda name: name.lower() != wanted.lower(), default=None)
