"""What the humaniser sees of each step, and how its answer becomes velocity and micro-timing.

The humaniser is told which drums are hit around a step and how the last hits were played, and answers with a
distribution over velocity and one over the offset from the grid for each instrument, in bins. It goes on from its own
past: timing feel is the player's, not the style's. Offline (`Played`) and live (`Performance`) make the same numbers;
tests/engines/test_groove_humaniser.py holds them equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, Bar, hits
from engines.drums.features import NO_MUSIC
from engines.music import STEP_TICKS

BACK, AHEAD = 16, 8
"""Steps of hits that are seen before and after the step itself."""
AROUND = BACK + 1 + AHEAD

NEAR = 16
LAGS = NEAR + 2
"""Steps whose velocity and offset are seen: the last NEAR, and those one and two bars ago."""

MEAN_SPANS = (16, 64, 256)
"""Steps over which running means are taken."""
_LONGEST = max(MEAN_SPANS)

BEAT = 4
_HITS_AT = 2 * INSTRUMENTS
_BEAT_AT = 3 * INSTRUMENTS
_SUMS = _BEAT_AT + 2 * BEAT
HEARD = LAGS * 2 * INSTRUMENTS
MEANS = len(MEAN_SPANS) * (3 * INSTRUMENTS + 2)

BINS = 32
LOW = np.array([0.0, -STEP_TICKS / 2])
WIDTH = np.array([4.0, STEP_TICKS / BINS])
"""Of a bin of velocity, and of one of offset in ticks."""
_SCALE = np.repeat([127.0, STEP_TICKS / 2], INSTRUMENTS)


def bins_of(velocity: NDArray[np.uint8], offset: NDArray[np.int16]) -> NDArray[np.int64]:
    """The bins of velocities and offsets [n, 9]: [n, 2, 9]."""
    values = np.stack([velocity, offset], axis=1).astype(np.float64)
    found: NDArray[np.int64] = np.floor((values - LOW[:, None]) / WIDTH[:, None]).astype(np.int64)
    return np.clip(found, 0, BINS - 1)


def medians(cumulative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Medians [n, 2, 9] of velocity and offset from cumulative probabilities [n, 2, 9, BINS]."""
    at = np.minimum((cumulative < 0.5).sum(axis=-1), BINS - 1)
    above = np.take_along_axis(cumulative, at[..., None], axis=-1)[..., 0]
    below = np.where(at > 0, np.take_along_axis(cumulative, np.maximum(at - 1, 0)[..., None], axis=-1)[..., 0], 0.0)
    within = np.clip((0.5 - below) / np.maximum(above - below, 1e-6), 0.0, 1.0)
    # A bin holds whole numbers from its low edge, and the middle of a whole number's share is half a unit on.
    values: NDArray[np.float32] = (LOW[:, None] + WIDTH[:, None] * (at + within) - 0.5).astype(np.float32)
    return values


def sampled(cumulative: NDArray[np.float32], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Velocity and offset [2, k] drawn from cumulative probabilities [2, k, BINS] with uniforms [2, 2, k]."""
    found = np.minimum((cumulative < (uniform[0] * cumulative[..., -1])[..., None]).sum(axis=-1), BINS - 1)
    values: NDArray[np.int64] = np.floor(LOW[:, None] + WIDTH[:, None] * (found + uniform[1])).astype(np.int64)
    return values


def _row(velocity: NDArray[np.uint8], offset: NDArray[np.int16], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a step adds to the running sums: [n, 9], [n, 9], place in the beat [n] -> [n, _SUMS]. Whole numbers."""
    rows = np.zeros((len(velocity), _SUMS))
    on = velocity > 0
    rows[:, :INSTRUMENTS] = velocity
    rows[:, INSTRUMENTS:_HITS_AT] = offset * on
    rows[:, _HITS_AT:_BEAT_AT] = on
    step = np.arange(len(rows))
    rows[step, _BEAT_AT + place] = rows[:, INSTRUMENTS:_HITS_AT].sum(axis=1)
    rows[step, _BEAT_AT + BEAT + place] = on.sum(axis=1)
    return rows


def _means(sums: NDArray[np.float64], place: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sums over each span [n, spans, _SUMS] and places in the beat [n] as features [n, MEANS]."""
    n, spans = sums.shape[:2]
    result = np.empty((n, spans, 3 * INSTRUMENTS + 2), np.float32)
    count = sums[..., _HITS_AT:_BEAT_AT]
    most = np.maximum(count, 1.0)
    result[..., :INSTRUMENTS] = sums[..., :INSTRUMENTS] / (127.0 * most)
    result[..., INSTRUMENTS:_HITS_AT] = sums[..., INSTRUMENTS:_HITS_AT] / (STEP_TICKS / 2 * most)
    result[..., _HITS_AT:_BEAT_AT] = np.log1p(count)
    row = np.arange(n)
    beat_count = sums[row, :, _BEAT_AT + BEAT + place]
    result[..., -2] = sums[row, :, _BEAT_AT + place] / (STEP_TICKS / 2 * np.maximum(beat_count, 1.0))
    result[..., -1] = np.log1p(beat_count)
    return result.reshape(n, MEANS)


def heard_lags(steps: int) -> NDArray[np.int64]:
    """Lags in steps of the hits whose playing is seen: [LAGS]."""
    return np.array([*range(1, NEAR + 1), steps, 2 * steps], np.int64)


@dataclass(frozen=True, slots=True)
class Played:
    """P pieces of S steps end to end, ready to give the features of any of their steps.

    masks [S], velocity [S, 9], offset [S, 9]; start, end: of the piece of each step; bar_end: of its bar;
    lags [S, LAGS]; place: in the beat [S]; sums [S + 1, _SUMS]
    """

    masks: NDArray[np.int64]
    played: NDArray[np.float32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    bar_end: NDArray[np.int64]
    lags: NDArray[np.int64]
    place: NDArray[np.int64]
    sums: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        masks: NDArray[np.uint16],
        velocity: NDArray[np.uint8],
        offset: NDArray[np.int16],
        piece_start: NDArray[np.int64],
        piece_steps: NDArray[np.int64],
    ) -> Self:
        """From the arrays of offline.drums.dataset.DrumDataset; piece_steps: steps a bar [P]."""
        lengths = np.diff(piece_start)
        start, end = np.repeat(piece_start[:-1], lengths), np.repeat(piece_start[1:], lengths)
        steps = np.repeat(piece_steps, lengths)
        step = (np.arange(len(masks)) - start) % steps
        kinds, kind = np.unique(piece_steps, return_inverse=True)
        lags = np.array([heard_lags(int(n)) for n in kinds]).reshape(-1, LAGS)[np.repeat(kind, lengths)]
        place = step % BEAT
        sums = np.zeros((len(masks) + 1, _SUMS))
        np.cumsum(_row(velocity, offset, place), axis=0, out=sums[1:])
        played = np.concatenate([velocity, offset], axis=1) / _SCALE
        bar_end = np.arange(len(masks)) + steps - step
        return cls(masks.astype(np.int64), played.astype(np.float32), start, end, bar_end, lags, place, sums)

    def around(self, rows: NDArray[np.int64], whole_piece: bool) -> NDArray[np.int64]:
        """Hits around each step [n, AROUND]; those ahead to the end of the piece, or only of its bar, as when live."""
        at = rows[:, None] + np.arange(-BACK, AHEAD + 1)
        end = (self.end if whole_piece else self.bar_end)[rows, None]
        known = (at >= self.start[rows, None]) & (at < end)
        return np.where(known, self.masks[np.clip(at, 0, len(self.masks) - 1)], NO_MUSIC)

    def heard(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """How the steps at the lags were played: [n, HEARD], velocity and offset of each as shares of their range."""
        at = rows[:, None] - self.lags[rows]
        known = (at >= self.start[rows, None])[..., None]
        return np.where(known, self.played[np.maximum(at, 0)], np.float32(0.0)).reshape(len(rows), HEARD)

    def means(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Running means before each step: [n, MEANS]."""
        since = np.maximum(rows[:, None] - np.array(MEAN_SPANS), self.start[rows, None])
        return _means(self.sums[rows, None] - self.sums[since], self.place[rows])


class Performance:
    """The features of one bar while it is played, step by step."""

    def __init__(self, history: Sequence[Bar], masks: NDArray[np.uint16]) -> None:
        """history: bars before it, any metres; masks: of the whole bar."""
        n = len(masks)
        before = _LONGEST
        recent: list[Bar] = []
        for bar in reversed(history):
            if sum(len(b.masks) for b in recent) >= before:
                break
            recent.insert(0, bar)
        self._line = np.full(before + n + AHEAD, NO_MUSIC, np.int64)
        self._line[before : before + n] = masks
        self._played = np.zeros((before + n, 2 * INSTRUMENTS), np.float32)
        self._sums = np.zeros((before + n + 1, _SUMS))
        if recent:
            past = np.concatenate([bar.masks for bar in recent])[-before:]
            velocity = np.concatenate([bar.velocity for bar in recent])[-before:]
            offset = np.concatenate([bar.offset for bar in recent])[-before:]
            place = np.concatenate([np.arange(len(bar.masks)) % BEAT for bar in recent])[-before:]
            first = before - len(past)
            self._line[first:before] = past
            self._played[first:before] = np.concatenate([velocity, offset], axis=1) / _SCALE
            np.cumsum(_row(velocity, offset, place), axis=0, out=self._sums[first + 1 : before + 1])
        self._on = hits(masks)
        self._lags = heard_lags(n)
        self._before = before
        self._summed = 0

    def look(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """around [1, AROUND], heard [1, HEARD] and means [1, MEANS] of a step; those before it have been played."""
        at = self._before + step
        while self._summed < step:  # steps without a hit add nothing
            self._summed += 1
            self._sums[self._before + self._summed] = self._sums[self._before + self._summed - 1]
        around = self._line[at - BACK : at + AHEAD + 1][None]
        heard = self._played[at - self._lags].reshape(1, HEARD)
        sums = self._sums[at] - self._sums[[at - span for span in MEAN_SPANS]]
        return around, heard, _means(sums[None], np.array([step % BEAT]))

    def play(self, step: int, velocity: NDArray[np.uint8], offset: NDArray[np.int16]) -> None:
        """Say how a step was played, [9] each, after `look` at it and before one at a later step."""
        at = self._before + step
        self._played[at, :INSTRUMENTS] = velocity
        self._played[at, INSTRUMENTS:] = offset
        self._played[at] /= _SCALE
        row = _row(velocity[None], offset[None], np.array([step % BEAT]))
        np.add(self._sums[at], row[0], out=self._sums[at + 1])
        self._summed = step + 1
