"""Trade: in which bars a player listens, and in which it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.players.policy import TRADE
from engines.errors import SidemanError


@dataclass(slots=True)
class Trade:
    """A player that trades fours, or whatever is wanted.

    answer_bars 0: it does not trade. listen_bars 0: it listens until it is told that it is its turn.
    origin: the bar where listening began last by the count; None: it has not been its turn yet
    """

    listen_bars: int = 0
    answer_bars: int = 0
    origin: int | None = None

    def set(self, listen_bars: int, answer_bars: int, from_bar: int) -> None:
        """Other numbers of bars; where that begins a trade of another kind, it is counted from a bar."""
        if (answer_bars > 0, listen_bars > 0) != (self.answer_bars > 0, self.listen_bars > 0):
            self.origin = from_bar if listen_bars else None
        self.listen_bars, self.answer_bars = listen_bars, answer_bars

    def your_turn(self, bar: int) -> None:
        """It answers from this bar on."""
        self.origin = bar - self.listen_bars

    def afresh(self) -> None:
        """The song begins again, and the count with it."""
        self.origin = 0 if self.listen_bars else None

    def listens(self, bar: int) -> bool:
        """True if it is silent in a bar, and hears the others."""
        if not self.answer_bars:
            return False
        if not self.listen_bars:
            return self.origin is None or not 0 <= bar - self.origin < self.answer_bars
        return (bar - (self.origin or 0)) % (self.listen_bars + self.answer_bars) < self.listen_bars


def bars_of(arguments: Sequence[object]) -> tuple[int, int]:
    """Bars to listen and to answer, from two numbers or one text with both. Raises SidemanError."""
    words = " ".join(str(argument) for argument in arguments).split()
    if len(words) != len(TRADE):
        raise SidemanError("takes bars to listen and bars to answer, such as 4 4; 0 0 ends it")
    listen, answer = (int(parameter.check(word)) for parameter, word in zip(TRADE, words, strict=True))
    return listen, answer
