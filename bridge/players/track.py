"""Track: what a player has played, and where its engine is behind it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from bridge.control.heard import Ears
from bridge.players.grid import BarSpan
from bridge.players.plan import Offer, Offers, fitted
from engines.engine import Played
from engines.music import Phrase

HISTORY_BARS = 64
"""Bars that a fresh worker is primed with."""

UNDO_MAX = 4
"""Wishes that can be undone; the worker keeps a state for each."""

History = tuple[tuple[BarSpan, Phrase], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """Where the music was before something was wished for; the fields are Track's."""

    state: int | None
    told_tick: int
    history: History


class Track:
    """The bar that sounds, those before it, and the worker's states around it.

    current: what sounds; state: the worker's after it (0: its start; None: it must be primed), before: the one before
    it; spare: another take, in case that a bar is late; told: up to where the engine has been told what was heard, by
    bridge.control.heard's count; told_tick: the song tick up to which it has been told what the others played
    """

    def __init__(self) -> None:
        self.current: Offer | None = None
        self.state: int | None = 0
        self.before: int | None = None
        self.spare: Phrase | None = None
        self.told = 0
        self.told_tick = 0
        self._history: deque[tuple[BarSpan, Phrase]] = deque(maxlen=HISTORY_BARS)
        self._points: deque[Point] = deque(maxlen=UNDO_MAX)

    def history(self, ears: Ears) -> tuple[Played, ...]:
        """Bars that were played, oldest first, with what the others played in all of them but the last."""
        bars = list(self._history)
        return tuple(
            Played(span.meter, phrase, ears.band(span.start_tick, span.end_tick, span.start_tick) if later else ())
            for (span, phrase), later in zip(bars, range(len(bars) - 1, -1, -1), strict=True)
        )

    def last(self, length: int) -> Phrase | None:
        """The bar that was played last, in a bar of so many ticks; None if there is none."""
        return fitted(self._history[-1][1], length) if self._history else None

    def afresh(self) -> None:
        """As if nothing had been played."""
        self._history.clear()
        self._points.clear()
        self.current, self.state, self.before, self.spare = None, 0, None, None

    def back(self) -> None:
        """The bar that sounded has been stopped in its middle, and will be played on."""
        if self._history and self.current is not None and self.current.outcome != "listen":
            self._history.pop()
        self.state = self.before

    def began(self, offer: Offer) -> None:
        """A bar has begun. One that is aside leaves the engine where it was."""
        self.before = self.state
        if offer.wished:
            self._mark()
        if not offer.aside:
            self.state = offer.state
            self.told_tick = offer.span.start_tick
        if offer.outcome == "alternate":
            self.spare = None
        self.told = max(self.told, offer.told)
        self.current = offer
        if offer.outcome != "listen":
            self._history.append((offer.span, offer.phrase))

    def turned(self, offer: Offer) -> None:
        """In its middle, the bar that sounds has become another."""
        self._mark()
        self.current, self.state = offer, offer.state
        self._history[-1] = (offer.span, offer.phrase)

    def turned_back(self, offer: Offer) -> None:
        """It has not, after all: it is this one."""
        self.undo()
        self.current = offer

    def undo(self) -> bool:
        """The engine goes on from before the last wish that was played; False if there is none."""
        if not self._points:
            return False
        point = self._points.pop()
        self.state, self.told_tick = point.state, point.told_tick
        self._history = deque(point.history, maxlen=HISTORY_BARS)
        return True

    def forget_states(self) -> None:
        """The worker is gone."""
        self.before = None
        self.state = 0 if self.state == 0 else None
        self._points = deque((replace(point, state=point.state and None) for point in self._points), maxlen=UNDO_MAX)
        if self.current is not None:
            self.current = replace(self.current, state=None)

    def states(self, offers: Offers) -> tuple[int, ...]:
        """The states that the worker must keep."""
        states = {self.state, self.before, *(point.state for point in self._points), *offers.states()}
        return tuple(state for state in states if state is not None)

    def _mark(self) -> None:
        self._points.append(Point(self.state, self.told_tick, tuple(self._history)))
