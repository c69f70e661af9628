"""What is given up when there is too little time: candidates first, then guidance, then anything new; and back again.

What a step costs is measured while it plays, for each number of rows of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

FULL, SAFE = 0.85, 0.6
"""Of the time that there is: what may be taken, and what may be taken by more than was made before."""

RISE, FALL = 0.6, 0.15
"""Share of the newest measurement in what is known: of one that is dearer, and of one that is not. Late is worse."""

FORGET = 0.9
"""Of what a step is thought to cost is left after each span for which there was no time: then it is tried again."""


@dataclass(frozen=True, slots=True, order=True)
class Rung:
    """takes: side by side, 0: nothing new is made; guided: each with its two rows."""

    takes: int
    guided: bool

    @property
    def rows(self) -> int:
        """Of the batch."""
        return self.takes * (2 if self.guided else 1)


FROZEN = Rung(0, False)


def rungs(wanted: Rung) -> list[Rung]:
    """From all that is wanted down to nothing."""
    found, takes = [wanted], wanted.takes
    while takes > 1:
        takes //= 2
        found.append(Rung(takes, wanted.guided))
    if wanted.guided:
        found.append(Rung(1, False))
    return [*found, FROZEN]


class Ladder:
    """Where a player stands on it. remarks: lines about what changed."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._step_s: dict[int, float] = {}
        self._sound_s = 0.0
        self._stands: Rung | None = None
        self._wanted: Rung | None = None

    def chosen(self, wanted: Rung, left_s: float, steps: int, frames: int) -> Rung:
        """What is made of a span. steps: to be made; frames: of codes that become sound, of each take."""
        ways = rungs(wanted)
        before = self._stands if wanted == self._wanted else None
        for way in ways[:-1]:
            share = SAFE if before is not None and way > before else FULL
            if left_s > 0.0 and self.cost_s(way, steps, frames) <= share * left_s:
                self.stand(way, wanted)
                return way
        self.stand(FROZEN, wanted)
        return FROZEN

    def stand(self, way: Rung, wanted: Rung) -> None:
        """Note what is made, and remark if that is another thing than before."""
        before = self._stands if wanted == self._wanted else wanted
        if way != before:
            self.remarks.append(_words(way, wanted))
        if way == FROZEN:
            self._step_s = {rows: cost * FORGET for rows, cost in self._step_s.items()}
            self._sound_s *= FORGET
        self._stands, self._wanted = way, wanted

    def cost_s(self, way: Rung, steps: int, frames: int) -> float:
        """What a span is thought to take; 0 where nothing is known yet."""
        if not self._step_s:
            return 0.0
        nearest = min(self._step_s, key=lambda rows: abs(rows - way.rows))
        step_s = self._step_s[nearest] * (1.0 if nearest == way.rows else way.rows / nearest)
        return steps * step_s + self.sound_s(way, frames)

    def sound_s(self, way: Rung, frames: int) -> float:
        """What of it is making sound of the codes."""
        return way.takes * frames * self._sound_s

    def took(self, way: Rung, steps: int, steps_s: float, frames: int, sound_s: float) -> None:
        """What a span took: its steps, and making sound of so many frames of each take."""
        if steps:
            self._step_s[way.rows] = _learned(self._step_s.get(way.rows, 0.0), steps_s / steps)
        if frames:
            self._sound_s = _learned(self._sound_s, sound_s / (frames * way.takes))

    def said(self) -> tuple[str, ...]:
        """The remarks since it was asked last."""
        remarks, self.remarks = tuple(self.remarks), []
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
