"""The groove features are the same numbers while a bar is written as over a whole piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.drums.features import (
    AGREEMENTS,
    BAR_LAGS,
    CONTEXT,
    NO_MUSIC,
    SCALE,
    SHORT_LAGS,
    SPANS,
    WHOLE,
    Window,
    check_meter,
    context,
    copy_lags,
    fitted,
    past_lags,
    tables,
)
from engines.errors import SidemanError
from engines.music import Meter

METERS = ["2/4", "3/4", "4/4", "5/4", "6/8", "7/8"]


def song(bars: list[int], seed: int) -> list[NDArray[np.uint16]]:
    """Bars of the given lengths that often repeat an earlier one, with a few hits changed."""
    random = np.random.default_rng(seed)
    result: list[NDArray[np.uint16]] = []
    for n in bars:
        same = [bar for bar in result if len(bar) == n]
        if same and random.random() < 0.7:
            bar = same[random.integers(len(same))].copy()
            changed = random.random(n) < 0.1
            bar[changed] = random.integers(0, 512, changed.sum())
        else:
            bar = random.choice([0, 4, 5, 6, 257], n).astype(np.uint16)
        result.append(bar)
    return result


def offline(bars: list[NDArray[np.uint16]], n: int) -> tuple[NDArray[Any], ...]:
    line = np.concatenate([fitted(bar, n) for bar in bars])
    made = tables(line, np.array([0, len(line)]), np.array([n]))
    return made.past, made.copies, made.agreement * SCALE


def assert_live_equals_offline(bars: list[NDArray[np.uint16]], n: int) -> None:
    """For every bar and a few steps of it at a time, in any order; also where what follows is guessed wrong."""
    past, copies, agreement = offline(bars, n)
    random = np.random.default_rng(n)
    for number, bar in enumerate(bars):
        window = Window(bars[:number], n)
        rows = slice(number * n, (number + 1) * n)
        np.testing.assert_array_equal(window.absent, copies[rows] == NO_MUSIC)
        played = fitted(bar, n)
        for first in random.permutation(n)[:3]:
            last = int(random.integers(first, n)) + 1
            guess = np.where(np.arange(n) < last - 1, played, random.integers(0, 512, n)).astype(np.uint16)
            seen = window.look(guess, int(first), last)
            for live, whole in zip(seen, (past, copies, agreement), strict=True):
                np.testing.assert_array_equal(live, whole[rows][first:last], err_msg=f"bar {number}, {first} to {last}")


@pytest.mark.parametrize("meter", METERS)
def test_a_bar_in_parts_equals_the_whole_piece(meter: str) -> None:
    n = check_meter(Meter.parse(meter))
    assert_live_equals_offline(song([n] * 42, seed=n), n)


def test_a_change_of_metre_in_the_history() -> None:
    bars = song([16, 16, 12, 12, 20, 12, 14, 14, 12, 16, 8, 8, 16], seed=5)
    for n in (8, 12, 14, 16, 20):
        assert_live_equals_offline(bars, n)


def test_several_pieces_do_not_hear_each_other() -> None:
    pieces = [song([16] * 5, 1), song([12] * 7, 2), song([16] * 3, 3)]
    lines = [np.concatenate(piece) for piece in pieces]
    start = np.cumsum([0, *(len(line) for line in lines)])
    together = tables(np.concatenate(lines), start, np.array([16, 12, 16]))
    for piece, first, n in zip(pieces, start, (16, 12, 16), strict=False):
        past, copies, agreement = offline(piece, n)
        rows = slice(first, first + len(past))
        np.testing.assert_array_equal(together.past[rows], past)
        np.testing.assert_array_equal(together.copies[rows], copies)
        np.testing.assert_array_equal(together.agreement[rows] * SCALE, agreement)


def test_lags_name_the_masks_they_say() -> None:
    line = np.arange(16 * 20, dtype=np.uint16)
    made = tables(line, np.array([0, len(line)]), np.array([16]))
    row = 18 * 16 + 5
    np.testing.assert_array_equal(made.past[row], row - past_lags(16))
    expected = row - copy_lags(16)
    np.testing.assert_array_equal(made.copies[row], np.where(expected < 0, NO_MUSIC, expected))


def test_agreement_counts_a_repeated_bar() -> None:
    bar = np.array([1, 4, 4, 4, 6, 4, 4, 4, 1, 4, 1, 4, 6, 4, 4, 8], np.uint16)
    last = bar.copy()
    last[3] = 5
    _, _, agreement = offline([bar, bar, bar, last], 16)
    one_bar_ago = len(SHORT_LAGS)
    end = agreement[3 * 16 + 15, one_bar_ago] / SCALE
    # Step 3 differs: the last 4 and 8 steps agree, 15 of 16 do, and 31 of 32; 11 steps in a row; three such bars.
    np.testing.assert_array_equal(end[:WHOLE], [4, 8, 15, 31, 11, 3])
    # Over 16 steps the first instrument differed once, over 4 none.
    np.testing.assert_array_equal(end[WHOLE:], [1] + [0] * (AGREEMENTS - WHOLE - 1))
    assert SPANS == (4, 8, 16, 32)
    assert agreement[3 * 16, one_bar_ago + BAR_LAGS - 1, WHOLE - 1] == 0


def test_context_rows_tell_every_step_apart() -> None:
    rows = context(Meter(7, 8), 5)
    assert rows.shape == (14, CONTEXT)
    assert len(np.unique(rows, axis=0)) == 14
    assert not np.array_equal(context(Meter(6, 8), 0), context(Meter(3, 4), 0))


@pytest.mark.parametrize("meter", ["1/4", "15/4", "7/16"])
def test_a_metre_beyond_the_model_is_a_users_mistake(meter: str) -> None:
    with pytest.raises(SidemanError, match=meter):
        check_meter(Meter.parse(meter))
