"""Where a MIDI clock's pulses are: a straight line through their arrivals, by least squares.

Arrivals jitter by a millisecond and more, and now and then a pulse is lost or comes twice. A line through up to 192
numbered arrivals (eight beats) knows the tempo to .02 bpm and the phase to .15 ms where the jitter has a sigma of 1 ms;
medians of intervals and delay-locked loops know them far less well or far later.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise, takewhile
from statistics import median

from bridge.timing.sync.regression import Line, Point, Prior, line_through

WINDOW = 192
WINDOW_COARSE = 384
"""Arrivals that the line goes through at most; the second where they jitter by so much that they are only counted."""

SETTLED = 12
"""From so many on the scatter is known."""

EXACT = 0.15
"""Below this scatter, in periods, a gap is lost pulses and a crowd a doubled one; above it pulses are only counted."""

ALARM_RESIDUALS = 6
ALARM_OFF = 4
ALARM_SIGMAS = 2.5
ALARM_SIGMAS_COARSE = 4.0
ALARM_NS = 300_000
"""When four of the last six arrivals lay off the line by more than so much, to the same side, the tempo or the phase
has changed: the line begins with them. Pulses that wait for each other, as those that jitter by their period must, lie
off it together: the second number of sigmas is theirs."""

PRIOR_PULSES = 48
ALARM_PRIOR_PULSES = 8
"""The tempo from before a pause counts like that of so many arrivals, and after an alarm like that of the second
number: a phase that has jumped is to leave the tempo alone, and a tempo that has changed to be known in half a beat."""

LEAP = 0.5
"""An alarm of more periods than this leaves nothing of the tempo that was."""

MISCOUNT = 0.2
MISCOUNTED = 3
"""Three in a row off by whole periods, to within this: a late pulse was taken for two, or two crowded ones for one."""

RECENT = 12
LOST_MAX = 6
KEPT = 8
"""So many gaps among the last twelve arrivals are not lost pulses but a slower tempo."""

CROWD = 2
CROWDS_MAX = 3
"""Two pulses or more that seem another's doubles, so often among the last twelve, are a faster tempo."""

GAP_PERIODS = 48
"""After a longer pause the phase is new; the count still goes on by the time that has passed."""

REPAIR_ARRIVALS = 24
REPAIR_LOST = 1 / 6
PERIOD_MIN_NS = 60e9 / 24 / 999
"""Numbering arrivals anew must not find more lost pulses than this share, nor a tempo above 999 bpm."""


class ClockLine:
    """Pulses by number; `clock` takes them in as they arrive.

    count: the number of the last pulse, lost ones included; pulses: how many were taken in
    exact: whether the scatter is known and small enough to tell single pulses apart
    """

    def __init__(self) -> None:
        self.count = 0
        self.pulses = 0
        self.exact = False
        self._points: deque[Point] = deque(maxlen=WINDOW_COARSE)
        self._line: Line | None = None
        self._sigma_ns: float | None = None
        self._prior: Prior | None = None
        self._residuals: deque[float] = deque(maxlen=ALARM_RESIDUALS)
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._crowds: deque[int] = deque(maxlen=RECENT)
        self._doubled = 0

    @property
    def period_ns(self) -> float | None:
        """How long a pulse lasts; None before there are two."""
        return self._line.period_ns if self._line else None

    @property
    def sigma_ns(self) -> float:
        """How far arrivals scatter; 0 where that is not known."""
        return self._sigma_ns or 0.0

    @property
    def settled(self) -> bool:
        """Whether there are arrivals enough, or a tempo from before a pause."""
        return self._line is not None and (len(self._points) >= SETTLED or self._prior is not None)

    @property
    def steady(self) -> bool:
        """Whether there is a tempo worth following at all: from the third pulse on, if the first ones are even."""
        line = self._line
        return line is not None and self.length > 2 and line.sigma_ns < EXACT * line.period_ns

    @property
    def length(self) -> int:
        """Arrivals that the line goes through."""
        return len(self._points)

    def at_ns(self, count: float) -> float:
        """When a pulse is due, which needs a line: a period_ns."""
        line = self._line
        return line.at_ns + (count - line.count) * line.period_ns if line else math.nan

    def begin(self) -> None:
        """The next pulse may come at any time; the tempo is likely to be what it was."""
        self._prior = Prior(self._line.period_ns, PRIOR_PULSES) if self._line and self.exact else None
        self._points.clear()
        self._forget()
        if self._prior is None:
            self._line = None

    def clock(self, at_ns: float) -> bool:
        """A pulse arrived; False if it was only another's double."""
        steps = self._steps(at_ns)
        if not steps:
            self._doubled += 1
            return False
        self._crowds.append(self._doubled)
        self._doubled = 0
        if sum(doubled >= CROWD for doubled in self._crowds) >= CROWDS_MAX:
            self._start_over()
            steps = 1
        self.pulses += 1
        self._recent.append(steps)
        if sum(step > 1 for step in self._recent) >= LOST_MAX:
            self._count_singly()
        self.count += self._recent[-1] if self._recent else 1
        if self._line and self._points:
            self._residuals.append(at_ns - self.at_ns(self.count))
        self._points.append((self.count, at_ns))
        self._look_for_change()
        while self.exact and len(self._points) > WINDOW:
            self._points.popleft()
        self._fit()
        if not self.exact and self.length >= SETTLED and self.length % 6 == 0:
            self._repair()
        return True

    def _steps(self, at_ns: float) -> int:
        """How many pulses a new arrival is ahead of the last one."""
        if not self._points or not self._line:
            return 1
        since_line = (at_ns - self.at_ns(self.count)) / self._line.period_ns
        if not self.exact:
            return 1
        if since_line > GAP_PERIODS:
            self.begin()
            return round(since_line)
        since_last = (at_ns - self._points[-1][1]) / self._line.period_ns
        if since_line < 0.5 and since_last < 0.25:
            return 0
        scatter = 0.05 + 4.5 * (self._sigma_ns or 0.0) / self._line.period_ns
        return max(1, round(since_line)) if since_last > max(1.5, 2 - scatter) else 1

    def _look_for_change(self) -> None:
        """Begin the line anew with the last arrivals if most of them lie off it."""
        line = self._line
        if line is None or self._sigma_ns is None or len(self._residuals) < ALARM_RESIDUALS:
            return
        limit_ns = max((ALARM_SIGMAS if self.exact else ALARM_SIGMAS_COARSE) * self._sigma_ns, ALARM_NS)
        off = [residual_ns for residual_ns in self._residuals if abs(residual_ns) > limit_ns]
        off_ns = median(off) if off else 0.0
        if sum(residual_ns * off_ns > 0 for residual_ns in off) < ALARM_OFF:
            return
        last = list(reversed(self._residuals))
        self._residuals.clear()
        if self.exact and (pulses := round(off_ns / line.period_ns)):
            whole_ns, near_ns = pulses * line.period_ns, MISCOUNT * line.period_ns
            wrong = sum(1 for _ in takewhile(lambda residual_ns: abs(residual_ns - whole_ns) < near_ns, last))
            if wrong >= MISCOUNTED:
                self._correct(pulses, wrong)
                return
        least_ns = math.copysign(limit_ns / 2, off_ns)
        new = sum(1 for _ in takewhile(lambda residual_ns: residual_ns / least_ns >= 1, last))
        while len(self._points) > max(1, new):
            self._points.popleft()
        leapt = abs(off_ns) > LEAP * line.period_ns
        self._prior = None if leapt else Prior(line.period_ns, ALARM_PRIOR_PULSES)

    def _correct(self, pulses: int, wrong: int) -> None:
        """So many of the last arrivals are on the line, but for their numbers."""
        last = [self._points.pop() for _ in range(wrong)]
        self._points.extend((count + pulses, at_ns) for count, at_ns in reversed(last))
        self.count += pulses

    def _forget(self) -> None:
        """Forget what single arrivals were taken for."""
        self._residuals.clear()
        self._recent.clear()
        self._crowds.clear()

    def _start_over(self) -> None:
        """Nothing was as it seemed."""
        self._points.clear()
        self._forget()
        self._line = self._sigma_ns = self._prior = None
        self.exact = False

    def _count_singly(self) -> None:
        """The gaps were no lost pulses: the last arrivals are numbered one by one, and the count is that much less."""
        self._recent.pop()
        self.count -= sum(step - 1 for step in self._recent)
        arrivals = [at_ns for _, at_ns in self._points][-KEPT:]
        self._start_over()
        self._points.extend(_numbered(arrivals, self.count))

    def _fit(self) -> None:
        self._line = line_through(self._points, self._prior) or self._line
        if self._line and self.length >= SETTLED:
            self._sigma_ns = self._line.sigma_ns
            self.exact = self._sigma_ns < EXACT * self._line.period_ns

    def _repair(self) -> None:
        """See whether the arrivals make a line if some of them are doubles, or some pulses were lost between them."""
        points = list(self._points)[-REPAIR_ARRIVALS:]
        intervals = sorted(after[1] - before[1] for before, after in pairwise(points))
        for period_ns in (intervals[len(intervals) // 2], intervals[len(intervals) * 3 // 4]):
            kept = _renumbered(points, period_ns)
            line = line_through(kept) if len(kept) >= REPAIR_ARRIVALS // 4 else None
            lost = kept[-1][0] - kept[0][0] + 1 - len(kept)
            if line is None or line.period_ns < PERIOD_MIN_NS or line.sigma_ns >= EXACT * line.period_ns:
                continue
            if lost <= len(kept) * REPAIR_LOST:
                self._points = deque(kept, maxlen=WINDOW_COARSE)
                self._line, self._sigma_ns, self.exact = line, line.sigma_ns, True
                self.count = kept[-1][0]
                self._forget()
                return


def _numbered(arrivals: Sequence[float], last: int) -> list[Point]:
    """Arrivals one after another, up to number `last`."""
    return list(zip(range(last - len(arrivals) + 1, last + 1), arrivals, strict=True))


def _renumbered(points: Sequence[Point], period_ns: float) -> list[Point]:
    """The arrivals with the numbers that this period gives them, doubles left out."""
    kept = [points[0]]
    for _, at_ns in points[1:]:
        since_last = (at_ns - kept[-1][1]) / max(period_ns, 1.0)
        if since_last >= 0.25:
            kept.append((kept[-1][0] + max(1, round(since_last)), at_ns))
    return kept
