"""What is given up when there is too little time: candidates first, then guidance, then anything new; and back again.

What a step costs is measured while it plays, for each number of rows of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

FULL, SAFE = 0.85, 0.6
"""Of the time that there is: what may be taken, and what may be taken by more than was made before."""

RISE, FALL = 0.6, 0.15
"""Share of the newest measurement in what is known: of one that is dearer, and of one that is not. Late is worse."""

FORGET, FORGET_S = 0.8, 2.0
"""Of what a step is thought to cost so much is left after so long without time: then it is tried again."""

CALM = 4
"""Spans that more has to last before it is said."""

HEARD_A_STEP = 3.0
"""Columns that are heard at once in the time of a step, at least."""


@dataclass(frozen=True, slots=True, order=True)
class Rung:
    """takes: side by side, 0: nothing new is made; guided: each with its two rows."""

    takes: int
    guided: bool

    @property
    def rows(self) -> int:
        """Of the batch."""
        return self.takes * (2 if self.guided else 1)


FROZEN, LEAST = Rung(0, False), Rung(1, False)


def rungs(wanted: Rung) -> list[Rung]:
    """From all that is wanted down to nothing."""
    found, takes = [wanted], wanted.takes
    while takes > 1:
        takes //= 2
        found.append(Rung(takes, wanted.guided))
    if wanted.guided:
        found.append(LEAST)
    return [*found, FROZEN]


@dataclass(frozen=True, slots=True)
class Work:
    """A span's. span_s: how long it lasts

    steps: to be made; heard: columns to be heard anew before, if there is guidance
    frames: of codes that become sound, of each take
    """

    span_s: float
    steps: int
    frames: int
    heard: int = 0


class Ladder:
    """Where a player stands on it."""

    def __init__(self) -> None:
        self._step_s: dict[int, float] = {}
        self._sound_s = 0.0
        self._wanted: Rung | None = None
        self._stands = self._told = FROZEN
        self._calm = 0
        self._remarks: list[str] = []

    def chosen(self, wanted: Rung, left_s: float, work: Work) -> Rung:
        """What is made of a span."""
        if wanted != self._wanted:
            self._wanted, self._calm, self._stands, self._told = wanted, 0, wanted, wanted
        for way in rungs(wanted)[:-1]:
            share = SAFE if way > self._stands else FULL
            if left_s > 0.0 and self.cost_s(way, work) <= share * left_s:
                self._stand(way)
                return way
        self.froze(work)
        return FROZEN

    def froze(self, work: Work) -> None:
        """There was no time."""
        self._stand(FROZEN)
        left = FORGET ** (work.span_s / FORGET_S)
        self._step_s = {rows: cost * left for rows, cost in self._step_s.items()}
        self._sound_s *= left

    def _stand(self, way: Rung) -> None:
        """Less is said at once; more when it has lasted."""
        self._stands = way
        self._calm = self._calm + 1 if way > self._told else 0
        if self._wanted is not None and (way < self._told or self._calm == CALM):
            self._told, self._calm = way, 0
            self._remarks.append(_words(way, self._wanted))

    def cost_s(self, way: Rung, work: Work) -> float:
        """What a span is thought to take; 0 where nothing is known yet."""
        if not self._step_s:
            return 0.0
        nearest = min(self._step_s, key=lambda rows: abs(rows - way.rows))
        step_s = self._step_s[nearest] * (1.0 if nearest == way.rows else way.rows / nearest)
        heard = work.heard / HEARD_A_STEP if way.guided else 0.0
        return (work.steps + heard) * step_s + self.sound_s(way, work)

    def sound_s(self, way: Rung, work: Work) -> float:
        """What of it is making sound of the codes."""
        return way.takes * work.frames * self._sound_s

    def took(self, way: Rung, steps: int, steps_s: float, frames: int, sound_s: float) -> None:
        """What a span took: its steps, and making sound of so many frames of each take."""
        if steps:
            self._step_s[way.rows] = _learned(self._step_s.get(way.rows, 0.0), steps_s / steps)
        if frames:
            self._sound_s = _learned(self._sound_s, sound_s / (frames * way.takes))

    def said(self) -> tuple[str, ...]:
        """The remarks since it was asked last."""
        remarks, self._remarks = tuple(self._remarks), []
        return remarks


def _learned(known: float, new: float) -> float:
    """What something is thought to take, after it took `new`; known: 0 where nothing was."""
    return known + (1.0 if not known else RISE if new > known else FALL) * (new - known)


def _words(way: Rung, wanted: Rung) -> str:
    if way == wanted:
        return "there is time again for all that is asked"
    if way == FROZEN:
        return "too slow: what sounded last is repeated"
    if way.guided != wanted.guided:
        return "too slow: one candidate, without guidance"
    return f"too slow for {wanted.takes} candidates: {way.takes}"
