"""What the outputs and inputs of one stage have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar


class Closable(Protocol):
    """Something that outputs share and the rack closes."""

    def close(self) -> None:
        """Give it up; may be called twice."""
        ...


T = TypeVar("T", bound=Closable)


class Rack:
    """Our name, what is shared, and what is known of others.

    client_name: the name under which the system's other programs see us
    reconnect:   what each of our ports, by its full name, was connected to before a restart
    subscribers: (host, port, pattern) of OSC clients that asked for events; replaced as they come and go
    heard:       players whose MIDI goes to something, as far as the system tells
    """

    def __init__(self, client_name: str, reconnect: dict[str, tuple[str, ...]] | None = None) -> None:
        self.client_name = client_name
        self.reconnect = dict(reconnect or {})
        self.subscribers: tuple[tuple[str, int, str], ...] = ()
        self.heard: set[str] = set()
        self._shared: dict[str, Closable] = {}

    def shared(self, key: str, kind: type[T], make: Callable[[], T]) -> T:
        """What this rack has under a key, made at the first call: a JACK client, a sound device."""
        if key not in self._shared:
            self._shared[key] = make()
        found = self._shared[key]
        if not isinstance(found, kind):
            raise TypeError(f"{key} is not a {kind.__name__}")
        return found

    def close(self) -> None:
        """Close what was shared."""
        while self._shared:
            self._shared.popitem()[1].close()
