"""The grid: which frame of a sound device a tick falls on (docs/ARCHITECTURE.md, Time).

Two maps in a row, both piece by piece: the timeline's of ticks to nanoseconds and the device clock's of nanoseconds to
frames. Where neither is bent a frame is an integer number of ticks away from another to a ten-thousandth of a frame, so
that rounding to the nearest frame is exact, however long it goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from bridge.messages.stage import Piece
from bridge.sound.clock import FrameClock
from bridge.timing.timeline import NS_MBPM_PER_TICK, TempoMap

FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where something that takes its ticks at one tempo is read: at `position`, `slope` further a frame, up to `end`.

    In frames of that something, at the device's rate.
    """

    position: float
    slope: float
    end: int


class Grid:
    """The timeline's pieces on a device's frames."""

    def __init__(self, clock: FrameClock, first: Piece) -> None:
        self.clock = clock
        self._tempo = TempoMap(first)

    @property
    def tempo_mbpm(self) -> int:
        """The tempo that everything tends to now."""
        return self._tempo.pieces[-1].tempo_mbpm

    @property
    def newest(self) -> Piece:
        """The last piece told."""
        return self._tempo.pieces[-1]

    def apply(self, piece: Piece) -> None:
        """Take over a piece of the timeline."""
        self._tempo.apply(piece)

    def frame_at(self, tick: int) -> float:
        """The frame that is heard at a tick, with its fraction."""
        return self.clock.frame_at(self._tempo.ns_at(tick))

    def tick_at(self, frame: int) -> int:
        """The last tick that has been heard at a frame."""
        first_ns = self._tempo.pieces[0].at_ns
        return self._tempo.tick_at(first_ns + round(self.clock.ns_since(frame, first_ns)))

    def read(self, frame: int, start_tick: int, tempo_mbpm: int) -> Stretch:
        """Where to read, at a frame, what began at start_tick and takes its ticks at tempo_mbpm."""
        pieces = self._tempo.pieces
        at_ns = pieces[0].at_ns + self.clock.ns_since(frame, pieces[0].at_ns)
        index = max(0, bisect_right(pieces, at_ns, key=_at_ns) - 1)
        piece = pieces[index]
        since_ns = self.clock.ns_since(frame, piece.at_ns)
        end = FOREVER
        if index + 1 < len(pieces):
            end = max(frame + 1, -int(-self.clock.frame_at(pieces[index + 1].at_ns) // 1))
        bent = self.clock.next_change(frame)
        ratio = piece.tempo_mbpm / tempo_mbpm
        rate = self.clock.rate
        frames_per_tick = rate * NS_MBPM_PER_TICK / (tempo_mbpm * 1e9)
        position = (piece.tick - start_tick) * frames_per_tick + since_ns * rate / 1e9 * ratio
        return Stretch(position, ratio * self.clock.bend(frame), min(end, bent or FOREVER))


def _at_ns(piece: Piece) -> int:
    return piece.at_ns
