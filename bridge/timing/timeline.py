"""The timeline: which tick falls on which nanosecond, while the tempo is being turned.

The invariants are those of docs/ARCHITECTURE.md, Time. Everything is integer arithmetic: nothing drifts, and any two
processes that hold the same pieces agree to the nanosecond.
"""

from __future__ import annotations

from bisect import bisect_right

from bridge.messages.stage import Piece
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT

TEMPO_MIN_MBPM = 20_000
TEMPO_MAX_MBPM = 999_000
"""20 to 999 bpm, Ableton Link's own range."""

NS_MBPM_PER_TICK = 60 * 10**9 * 1000 // TICKS_PER_BEAT
"""A tick lasts this many nanoseconds divided by the tempo in thousandths of a bpm; exact, as 960 divides it."""

PIECES_KEPT = 256
"""Older pieces are forgotten: nobody asks for the time of a tick that far back."""


def check_tempo(tempo_mbpm: int) -> None:
    """Raise SidemanError for a tempo outside 20 to 999 bpm."""
    if not TEMPO_MIN_MBPM <= tempo_mbpm <= TEMPO_MAX_MBPM:
        raise SidemanError(f"a tempo of {tempo_mbpm / 1000:g} bpm cannot be played; choose one from 20 to 999")


class TempoMap:
    """Pieces of constant tempo, each from its tick on: the mirror that control and recorder keep of the stage's.

    Ticks before the first piece are counted at its tempo, backwards.
    """

    def __init__(self, first: Piece) -> None:
        self._pieces = [first]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces by tick."""
        return tuple(self._pieces)

    def apply(self, piece: Piece) -> None:
        """Take over a piece; those from its tick on never took effect and fall."""
        while self._pieces and self._pieces[-1].tick >= piece.tick:
            self._pieces.pop()
        self._pieces.append(piece)
        del self._pieces[:-PIECES_KEPT]

    def ns_at(self, tick: int) -> int:
        """When a tick falls, in nanoseconds, rounded up."""
        piece = self._pieces[max(0, bisect_right(self._pieces, tick, key=_tick) - 1)]
        return piece.at_ns - (piece.tick - tick) * NS_MBPM_PER_TICK // piece.tempo_mbpm

    def tick_at(self, at_ns: int) -> int:
        """The last tick that has fallen at a time; tick_at(ns_at(tick)) == tick."""
        piece = self._pieces[max(0, bisect_right(self._pieces, at_ns, key=_at_ns) - 1)]
        return piece.tick + (at_ns - piece.at_ns) * piece.tempo_mbpm // NS_MBPM_PER_TICK

    def tempo_at(self, tick: int) -> int:
        """The tempo at a tick, in thousandths of a bpm."""
        return self._pieces[max(0, bisect_right(self._pieces, tick, key=_tick) - 1)].tempo_mbpm


class Timeline(TempoMap):
    """The stage's own: it also knows how far the future is frozen, and lands each change behind that."""

    def __init__(self, start_ns: int, tempo_mbpm: int) -> None:
        check_tempo(tempo_mbpm)
        super().__init__(Piece(tick=0, at_ns=start_ns, tempo_mbpm=tempo_mbpm))
        self._frozen = 0

    @property
    def frozen(self) -> int:
        """The first tick whose time may still change."""
        return self._frozen

    def freeze(self, until_ns: int) -> int:
        """Freeze every tick that falls up to a time; returns the first one still free."""
        self._frozen = max(self._frozen, self.tick_at(until_ns) + 1)
        return self._frozen

    def change(self, tempo_mbpm: int, now_ns: int) -> Piece:
        """Change the tempo as soon as it can land: at the first free tick after now.

        Raises SidemanError for a tempo outside 20 to 999 bpm.
        """
        check_tempo(tempo_mbpm)
        tick = max(self._frozen, self.tick_at(now_ns) + 1)
        piece = Piece(tick=tick, at_ns=self.ns_at(tick), tempo_mbpm=tempo_mbpm)
        self.apply(piece)
        return piece


def _tick(piece: Piece) -> int:
    return piece.tick


def _at_ns(piece: Piece) -> int:
    return piece.at_ns
