"""The bar grid across changes of metre, and the song's mirror of the stage's clock."""

from __future__ import annotations

from bridge.messages.stage import EpochStarted, Piece
from bridge.players.grid import BarGrid, BarSpan, Song
from engines.music import Meter

FOUR, SEVEN = Meter(4, 4), Meter(7, 8)


def test_a_metre_holds_from_its_bar_on() -> None:
    grid = BarGrid(FOUR)
    grid.change(2, SEVEN)
    assert [grid.bar(n) for n in range(4)] == [
        BarSpan(0, 0, FOUR), BarSpan(1, 3840, FOUR), BarSpan(2, 7680, SEVEN), BarSpan(3, 11040, SEVEN),
    ]  # fmt: skip


def test_every_tick_lies_in_the_bar_it_is_found_in() -> None:
    grid = BarGrid(FOUR)
    grid.change(2, SEVEN)
    grid.change(5, Meter(2, 4))
    for tick in range(0, 30_000, 7):
        span = grid.bar_at(tick)
        assert span.start_tick <= tick < span.end_tick
        assert grid.bar(span.number) == span
        assert grid.bar(span.number + 1).start_tick == span.end_tick
    assert grid.bar_at(-1).number == 0


def test_an_earlier_change_takes_later_ones_away() -> None:
    grid = BarGrid(FOUR)
    grid.change(4, SEVEN)
    grid.change(2, Meter(3, 4))
    assert grid.bar(4).meter == Meter(3, 4)
    grid.change(0, SEVEN)
    assert grid.bar(3).start_tick == 3 * 3360


def test_song_ticks_have_times_once_the_epoch_has_begun() -> None:
    song = Song(FOUR, 120_000)
    song.piece(Piece(tick=0, at_ns=1_000_000_000, tempo_mbpm=120_000))
    song.epoch_started(EpochStarted(epoch=3, tick=960, position_tick=3840))
    assert song.epoch == 3
    assert song.ns_at(3840) == 1_500_000_000
    assert song.song_tick_at(2_000_000_000) == 4800
    song.piece(Piece(tick=1920, at_ns=2_000_000_000, tempo_mbpm=240_000))
    assert song.ns_at(4800 + 960) == 2_250_000_000
    assert song.tempo_bpm == 240.0
    assert song.seconds(960) == 0.25
