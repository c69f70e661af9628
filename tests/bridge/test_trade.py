"""In which bars a player that trades is silent, and in which it answers."""

from __future__ import annotations

import pytest

from bridge.players.trade import Trade, bars_of
from engines.errors import SidemanError


def test_fours_by_the_grid_from_where_it_was_switched_on_and_by_foot_switch() -> None:
    def answers(trade: Trade) -> list[int]:
        return [bar for bar in range(16) if not trade.listens(bar)]

    trade = Trade()
    assert answers(trade) == list(range(16))
    trade.set(4, 4, 0)
    assert answers(trade) == [4, 5, 6, 7, 12, 13, 14, 15]
    trade.your_turn(2)
    assert answers(trade) == [2, 3, 4, 5, 10, 11, 12, 13]
    trade.set(2, 1, 9)  # still a trade: the count goes on
    assert answers(trade) == [0, 3, 6, 9, 12, 15]
    trade.afresh()
    assert answers(trade) == [2, 5, 8, 11, 14]
    trade.set(0, 3, 5)
    assert answers(trade) == []
    trade.your_turn(6)
    assert answers(trade) == [6, 7, 8]
    trade.set(0, 0, 7)
    trade.set(1, 1, 7)
    assert answers(trade)[:2] == [0, 2]


def test_the_bars_of_a_trade_are_two_numbers_or_one_text() -> None:
    assert bars_of(("4 4",)) == bars_of((4, 4)) == bars_of((4.0, 4.0)) == (4, 4)
    for wrong in ((), (4,), ("4 4 4",), ("four", 4), (-1, 4), (65, 4)):
        with pytest.raises(SidemanError):
            bars_of(wrong)
