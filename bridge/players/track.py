"""Track: what a player has played, and where its engine is behind it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from bridge.players.plan import Offer, Offers, fitted
from engines.engine import Played
from engines.music import Phrase

HISTORY_BARS = 64
"""Bars that a fresh worker is primed with."""


class Track:
    """The bar that sounds, those before it, and the worker's states around it.

    current: what sounds; state: the worker's after it (0: its start; None: it must be primed), before: the one before
    it; spare: another take, in case that a bar is late; told: up to where the engine has been told what was heard, by
    bridge.control.heard's count
    """

    def __init__(self) -> None:
        self.current: Offer | None = None
        self.state: int | None = 0
        self.before: int | None = None
        self.spare: Phrase | None = None
        self.told = 0
        self._history: deque[Played] = deque(maxlen=HISTORY_BARS)

    @property
    def history(self) -> tuple[Played, ...]:
        """Bars that were played, oldest first."""
        return tuple(self._history)

    def last(self, length: int) -> Phrase | None:
        """The bar that was played last, in a bar of so many ticks; None if there is none."""
        return fitted(self._history[-1].phrase, length) if self._history else None

    def afresh(self) -> None:
        """As if nothing had been played."""
        self._history.clear()
        self.current, self.state, self.before, self.spare = None, 0, None, None

    def back(self) -> None:
        """The bar that sounded has been stopped in its middle, and will be played on."""
        if self._history and self.current is not None and self.current.outcome != "listen":
            self._history.pop()
        self.state = self.before

    def began(self, offer: Offer) -> None:
        """A bar has begun. One that comes again, or in which it listens, leaves the engine where it was."""
        self.before = self.state
        if offer.outcome not in ("hold", "listen"):
            self.state = offer.state
        if offer.outcome == "alternate":
            self.spare = None
        self.told = max(self.told, offer.told)
        self.current = offer
        if offer.outcome != "listen":
            self._history.append(Played(offer.span.meter, offer.phrase))

    def turned(self, offer: Offer) -> None:
        """In its middle, the bar that sounds has become another; its state is for the caller to say."""
        self.current = offer
        self._history[-1] = Played(offer.span.meter, offer.phrase)

    def forget_states(self) -> None:
        """The worker is gone."""
        self.before = None
        self.state = 0 if self.state == 0 else None
        if self.current is not None:
            self.current = replace(self.current, state=None)

    def states(self, offers: Offers) -> tuple[int, ...]:
        """The states that the worker must keep."""
        states = {self.state, self.before, *offers.states()}
        return tuple(state for state in states if state is not None)
