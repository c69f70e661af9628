"""OSC clients: where each wants its answers and events, for as long as its lease holds.

A client is known by the socket it sends from. Max's udpsend cannot receive, so a client names the port that can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.control.pattern import check_pattern, covers
from engines.errors import SidemanError

LEASE_S = 60.0
CLIENTS_MAX = 64

ERRORS_PER_S = 10.0
ERRORS_AT_ONCE = 20.0
"""How many errors one sender is told of; the rest are not worth their packets."""

Sender = tuple[str, int]
"""Host and port that a packet came from, or goes to."""


@dataclass(slots=True)
class Client:
    """A subscription: where to, what, and until when (of the clock that Clients was given)."""

    target: Sender
    pattern: str
    until_s: float


class Clients:
    """The subscriptions. now_s is any steady clock; on_changed is called when they are others."""

    def __init__(self, now_s: Callable[[], float], on_changed: Callable[[], None]) -> None:
        self._now_s = now_s
        self._on_changed = on_changed
        self._clients: dict[Sender, Client] = {}
        self._errors: dict[Sender, tuple[float, float]] = {}

    def subscribe(self, sender: Sender, port: int, pattern: str) -> None:
        """Send this client's answers, and events that match, to a port of its host, until its lease ends.

        Raises SidemanError for a pattern out of bounds, or if there are too many clients already.
        """
        check_pattern(pattern)
        target = (sender[0], port)
        kept = {who: client for who, client in self._clients.items() if client.target != target and who != sender}
        if len(kept) >= CLIENTS_MAX:
            raise SidemanError(f"{CLIENTS_MAX} clients are subscribed already; unsubscribe one")
        self._clients = {**kept, sender: Client(target, pattern, self._now_s() + LEASE_S)}
        self._on_changed()

    def unsubscribe(self, sender: Sender, port: int | None = None) -> None:
        """End this client's subscription, or that of a port of its host."""
        target = None if port is None else (sender[0], port)
        kept = {
            who: client
            for who, client in self._clients.items()
            if not (who == sender if target is None else client.target == target)
        }
        if len(kept) != len(self._clients):
            self._clients = kept
            self._on_changed()

    def renew(self, sender: Sender) -> None:
        """A message came: its sender's lease begins anew."""
        client = self._clients.get(sender)
        if client is not None:
            client.until_s = self._now_s() + LEASE_S

    def expire(self) -> float | None:
        """Drop the leases that are over; seconds until the next one may be, or None if there is none."""
        now_s = self._now_s()
        kept = {who: client for who, client in self._clients.items() if client.until_s > now_s}
        if len(kept) != len(self._clients):
            self._clients = kept
            self._on_changed()
        return min((client.until_s - now_s for client in kept.values()), default=None)

    def target(self, sender: Sender) -> Sender:
        """Where answers to a sender go."""
        client = self._clients.get(sender)
        return client.target if client else sender

    def wanting(self, address: str) -> list[Sender]:
        """Where an event of this address goes."""
        return [client.target for client in self._clients.values() if covers(client.pattern, address)]

    def targets(self) -> tuple[tuple[str, int, str], ...]:
        """(host, port, pattern) of all, for the stage."""
        return tuple((*client.target, client.pattern) for client in self._clients.values())

    def may_err(self, sender: Sender) -> bool:
        """True if the sender is to be told of one more error (a token bucket)."""
        now_s = self._now_s()
        tokens, then_s = self._errors.get(sender, (ERRORS_AT_ONCE, now_s))
        tokens = min(ERRORS_AT_ONCE, tokens + (now_s - then_s) * ERRORS_PER_S)
        if len(self._errors) > CLIENTS_MAX * 4:
            self._errors.clear()
        self._errors[sender] = (max(0.0, tokens - 1.0), now_s)
        return tokens >= 1.0
