"""The clock of a sound device: which of its frames is heard when, on our clock.

A crystal is some parts per million off, 50 of which are 3 ms a minute. `Steering` compares the two clocks and steers a
map of frames to nanoseconds, a `FrameClock`, along what it finds; what is played is placed and read by that map, so
that a loop is resampled by as little as the map is bent: always by less than 200 ppm, a third of a cent.

Both of two wishes hold: sound stays with the timeline (and so with MIDI), and a device whose clock agrees with ours
plays each sample of a loop as it is. While the error is below DEAD_NS the map is not bent at all, and frames are the
exact nominal ones; once it is bent, that follows the regression's slope plus what takes the remaining error back over
some seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

BEND_MAX_PPB = 199_000
"""Parts in a thousand million."""

DEAD_NS = 250_000
"""A smaller error is left alone while the map is straight; it is straightened again below STRAIGHT_NS."""

STRAIGHT_NS = 20_000
STRAIGHT_PPB = 1_000

BACK_NS = 3e9
"""An error is taken back over so long."""

JUMP_NS = 5_000_000
"""A larger error is no drift: frames were lost, and the map follows at once."""

WINDOWS = 64
"""Observations that the regression runs over, a second each; their slope is trusted from so many on:"""

WINDOWS_MIN = 6
PIECES_KEPT = 8
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class ClockPiece:
    """From a frame on, heard at at_ns (perf_counter), a frame lasts (1 + bend_ppb / 10**9) of its nominal time."""

    frame: int
    at_ns: int
    bend_ppb: int = 0


class FrameClock:
    """Frames of a device on our clock, piece by piece."""

    def __init__(self, rate: int, pieces: tuple[ClockPiece, ...]) -> None:
        self.rate = rate
        self.pieces = pieces

    def ns_since(self, frame: float, from_ns: int) -> float:
        """Nanoseconds from from_ns to a frame."""
        piece = self.pieces[max(0, bisect_right(self.pieces, frame, key=_frame) - 1)]
        return (piece.at_ns - from_ns) + (frame - piece.frame) * self._ns_per_frame(piece)

    def frame_at(self, at_ns: float) -> float:
        """The frame, with its fraction, that is heard at a time."""
        piece = self.pieces[max(0, bisect_right(self.pieces, at_ns, key=_at_ns) - 1)]
        frame = piece.frame + (at_ns - piece.at_ns) / self._ns_per_frame(piece)
        following = bisect_right(self.pieces, at_ns, key=_at_ns)
        # where the clock jumps, what falls into the gap falls on the jump
        return min(frame, self.pieces[following].frame) if following < len(self.pieces) else frame

    def next_change(self, frame: int) -> int | None:
        """The first frame behind this one from which another piece holds."""
        following = bisect_right(self.pieces, frame, key=_frame)
        return self.pieces[following].frame if following < len(self.pieces) else None

    def bend(self, frame: float) -> float:
        """How much longer than nominal the frames last at a frame, as a factor."""
        return 1 + self.pieces[max(0, bisect_right(self.pieces, frame, key=_frame) - 1)].bend_ppb / 1e9

    def jumps(self) -> tuple[int, ...]:
        """The frames at which the map does not go on where it was."""
        found = []
        for before, piece in zip(self.pieces, self.pieces[1:], strict=False):
            went_ns = before.at_ns + (piece.frame - before.frame) * self._ns_per_frame(before)
            if abs(went_ns - piece.at_ns) > JUMP_NS / 4:
                found.append(piece.frame)
        return tuple(found)

    def and_then(self, piece: ClockPiece) -> FrameClock:
        """This map with another piece from its frame on."""
        before = tuple(old for old in self.pieces if old.frame < piece.frame)
        return FrameClock(self.rate, (*before, piece)[-PIECES_KEPT:])

    def _ns_per_frame(self, piece: ClockPiece) -> float:
        return 1e9 / self.rate * (1 + piece.bend_ppb / 1e9)


class Earliest:
    """The callbacks of each second, reduced to the one that came least late: lateness is one-sided, drift is not.

    A tenth of a second of which all callbacks are off by more than JUMP_NS is told at once, and so is the one after it;
    and the very first.
    """

    def __init__(self, rate: int) -> None:
        self._ns_per_frame = 1e9 / rate
        self._tenth_frames = rate // 10
        self._origin: tuple[int, int] | None = None
        self._end = 0
        self._tenths = 9  # the first is told at once
        self._told = 0.0
        self._least, self._found = _NEVER, (0, 0)
        self._second_least, self._second_found = _NEVER, (0, 0)

    def observe(self, frame: int, at_ns: int) -> tuple[int, int] | None:
        """A callback: its first frame, and when that is heard. At the end of a second, the pair to go by."""
        if self._origin is None:
            self._origin, self._end = (frame, at_ns), frame + self._tenth_frames
        late_ns = (at_ns - self._origin[1]) - (frame - self._origin[0]) * self._ns_per_frame
        if late_ns < self._least:
            self._least, self._found = late_ns, (frame, at_ns)
        if frame < self._end:
            return None
        self._end = frame + self._tenth_frames
        self._tenths += 1
        jumped = abs(self._least - self._told) > JUMP_NS
        if jumped or self._least < self._second_least:
            self._second_least, self._second_found = self._least, self._found
        self._least = _NEVER
        if self._tenths < 10 and not jumped:
            return None
        self._tenths = 9 if jumped else 0
        self._told, self._second_least = self._second_least, _NEVER
        return self._second_found


class Steering:
    """Steers a map along pairs of (frame, when it was heard). Pure arithmetic: it reads no clock."""

    def __init__(self, rate: int, frame: int, at_ns: int) -> None:
        """Begin where frame `frame` is heard at at_ns."""
        self._rate = rate
        self.clock = FrameClock(rate, (ClockPiece(frame, at_ns),))
        self._pairs: list[tuple[int, int]] = []
        self._surprises = 0
        self.measured_ppb = 0
        self.error_ns = 0.0

    def observe(self, frame: int, at_ns: int) -> None:
        """A pair; one a second."""
        if abs(self._surprise_ns(frame, at_ns)) > JUMP_NS:
            self._surprises += 1
            if self._surprises < 2:
                return  # one late second is no jump
            self._pairs.clear()
        self._surprises = 0
        self._pairs.append((frame, at_ns))
        del self._pairs[:-WINDOWS]

    def steer(self, from_frame: int) -> ClockPiece | None:
        """How the map goes on from a frame that nobody has rendered yet; None: as it does."""
        if not self._pairs:
            return None
        slope_ppb, offset_ns, base = self._fit()
        self.measured_ppb = round(slope_ppb)
        ns_per_frame = 1e9 / self._rate
        true_ns = offset_ns + (from_frame - base[0]) * ns_per_frame * (1 + slope_ppb / 1e9)
        self.error_ns = true_ns - self.clock.ns_since(from_frame, base[1])
        last = self.clock.pieces[-1]
        if abs(self.error_ns) > JUMP_NS:
            return self._goes_on(ClockPiece(from_frame, base[1] + round(true_ns)))
        bend_ppb = self._bend(slope_ppb, last.bend_ppb)
        if bend_ppb == last.bend_ppb:
            return None
        at_ns = base[1] + round(self.clock.ns_since(from_frame, base[1]))
        return self._goes_on(ClockPiece(from_frame, at_ns, bend_ppb))

    def _bend(self, slope_ppb: float, now_ppb: int) -> int:
        straight = now_ppb == 0
        if straight and abs(self.error_ns) < DEAD_NS:
            return 0
        if abs(self.error_ns) < STRAIGHT_NS and abs(slope_ppb) < STRAIGHT_PPB:
            return 0
        wanted = slope_ppb + self.error_ns / BACK_NS * 1e9
        bend = round(max(-BEND_MAX_PPB, min(BEND_MAX_PPB, wanted)))
        return bend or 1

    def _goes_on(self, piece: ClockPiece) -> ClockPiece:
        self.clock = self.clock.and_then(piece)
        return piece

    def _surprise_ns(self, frame: int, at_ns: int) -> float:
        """How much later than the pairs so far (or the map, before there are any) say."""
        if not self._pairs:
            return -self.clock.ns_since(frame, at_ns)
        slope_ppb, offset_ns, base = self._fit()
        return (at_ns - base[1]) - offset_ns - (frame - base[0]) * 1e9 / self._rate * (1 + slope_ppb / 1e9)

    def _fit(self) -> tuple[float, float, tuple[int, int]]:
        """Slope in ppb and offset in ns against the nominal rate from a base pair on: least squares.

        Of the seconds, the quarter furthest from the first fit is left out of the second.
        """
        base = self._pairs[0]
        ns_per_frame = 1e9 / self._rate
        times = [((frame - base[0]) * ns_per_frame, at_ns - base[1]) for frame, at_ns in self._pairs]
        points = [(nominal_ns, real_ns - nominal_ns) for nominal_ns, real_ns in times]
        if len(points) < WINDOWS_MIN:
            offsets = sorted(y for _, y in points)
            return 0.0, offsets[len(offsets) // 2], base
        slope, offset = _line(points)
        points.sort(key=lambda point: abs(point[1] - offset - slope * point[0]))
        slope, offset = _line(points[: len(points) - len(points) // 4])
        return slope * 1e9, offset, base


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    square = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / square if square else 0.0
    return slope, mean_y - slope * mean_x


def _frame(piece: ClockPiece) -> int:
    return piece.frame


def _at_ns(piece: ClockPiece) -> int:
    return piece.at_ns
