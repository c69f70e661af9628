"""Fills: a fill that is asked for now begins on the next beat of the bar that sounds, where one is left."""

from __future__ import annotations

from bridge.messages.worker import Made
from bridge.players.ahead import Ahead
from bridge.players.parts import Parts
from bridge.players.plan import Offer, Plan, spliced


class Fills:
    """The fills of one player. ahead: the bar to come, which has the fill if it is too late for one now."""

    def __init__(self, parts: Parts, ahead: Ahead) -> None:
        self._ahead = ahead
        self._asking, self._deadlines = parts.asking, parts.deadlines
        self._offers, self._track = parts.offers, parts.track

    def fill(self) -> None:
        """A fill from the next beat, if a beat of the bar is left by then; else, or with a loop, the next bar."""
        current, before = self._track.current, self._track.before
        plays = current is not None and current.outcome != "listen" and not current.phrase.loop and self._ahead.live
        ready = plays and before is not None and self._asking.free
        tick = self._deadlines.next_beat(current.span) if current is not None and ready else None
        if current is None or before is None or tick is None:
            self._ahead.change(fill=True)
            return
        self._ahead.ask(Plan(current.span, fill=True), before, fill_tick=tick)

    def made(self, message: Made, tick: int) -> None:
        """The bar of a fill is there, which begins at a song tick."""
        current = self._track.current
        if current is None or not current.span.start_tick < tick < current.span.end_tick:
            self._ahead.change(fill=True)  # its bar is over
            return
        phrase = spliced(current.phrase, message.phrase, tick - current.span.start_tick)
        offer = Offer(current.span, "hit", phrase, message.id, replaces=current)
        self._track.turned(offer)
        self._offers.send(self._ahead.epoch, offer, from_tick=tick)
        self._ahead.remake()

    def refused(self, replaced: Offer) -> None:
        """It came too late: the bar stays what it was, and the next has the fill."""
        self._track.turned_back(replaced)
        self._ahead.change(fill=True)
