"""What the humaniser sees of each step, and how its answer becomes velocity and micro-timing.

The humaniser is told which drums are hit around a step and how the last hits were played, and answers with a
distribution over velocity and one over the offset from the grid for each instrument, in bins. It goes on from its own
past: timing feel is the player's, not the style's. Offline (`Played`) and live (`Performance`) make the same numbers;
tests/engines/test_groove_humaniser.py holds them equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, Bar, hits
from engines.drums.features import NO_MUSIC, STEPS_MAX
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
COLUMNS = INSTRUMENTS + BEAT
"""What running sums are kept of: each instrument, and all instruments at each place in the beat."""

PLACE_SPANS = (4, 16)
"""Bars over which the same step of the bar is averaged: accents are a habit of a place."""
_MOST_BARS = max(PLACE_SPANS)

TEMPO = 2
"""Numbers that tell the tempo."""

HEARD = LAGS * 2 * INSTRUMENTS
_RUNNING = len(MEAN_SPANS) * 3 * COLUMNS
MEANS = _RUNNING + len(PLACE_SPANS) * 3 * INSTRUMENTS

BINS = 32
LOW = np.array([[0.0], [-STEP_TICKS / 2]])
WIDTH = np.array([[4.0], [STEP_TICKS / BINS]])
"""Of a bin of velocity, and of one of offset in ticks: [2, 1]."""

_BITS = np.arange(INSTRUMENTS)
_PLACES = np.arange(STEPS_MAX) % BEAT
_SPREAD = np.stack([np.eye(INSTRUMENTS, COLUMNS) + (np.arange(COLUMNS) == INSTRUMENTS + i) for i in range(BEAT)])
"""From instruments to COLUMNS, for each place in the beat: [BEAT, 9, COLUMNS]."""

UNIT = 128.0
"""Velocity and offset are divided by this; a power of two, so that sums stay exact."""


def bins_of(velocity: NDArray[np.uint8], offset: NDArray[np.int16]) -> NDArray[np.int64]:
    """The bins of velocities and offsets [n, 9]: [n, 2, 9]."""
    values = np.stack([velocity, offset], axis=1).astype(np.float64)
    found: NDArray[np.int64] = np.floor((values - LOW) / WIDTH).astype(np.int64)
    return np.clip(found, 0, BINS - 1)


def medians(cumulative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Medians [n, 2, 9] of velocity and offset from cumulative probabilities [n, 2, 9, BINS]."""
    at = np.minimum((cumulative < 0.5).sum(axis=-1), BINS - 1)
    above = np.take_along_axis(cumulative, at[..., None], axis=-1)[..., 0]
    below = np.where(at > 0, np.take_along_axis(cumulative, np.maximum(at - 1, 0)[..., None], axis=-1)[..., 0], 0.0)
    within = np.clip((0.5 - below) / np.maximum(above - below, 1e-6), 0.0, 1.0)
    # A bin holds whole numbers from its low edge, and the middle of a whole number's share is half a unit on.
    values: NDArray[np.float32] = (LOW + WIDTH * (at + within) - 0.5).astype(np.float32)
    return values


def sampled(cumulative: NDArray[np.float32], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Velocity, at least 1, and offset [2, 9] from cumulative probabilities [2, 9, BINS] with uniforms [2, 2, 9]."""
    found = np.add.reduce(cumulative[:, :, :-1] < uniform[0, :, :, None], axis=2)
    values: NDArray[np.float64] = np.floor(LOW + WIDTH * (found + uniform[1]))
    np.maximum(values[0], 1.0, out=values[0])
    return values


def _row(played: NDArray[np.float64], on: NDArray[np.bool_], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """What steps add to the running sums of velocity, offset and hits: [n, 2, 9], [n, 9], [n] -> [n, 3, COLUMNS]."""
    rows = np.zeros((len(on), 3, COLUMNS))
    rows[:, :2, :INSTRUMENTS] = played
    rows[:, 2, :INSTRUMENTS] = on
    rows[np.arange(len(on)), :, INSTRUMENTS + place] = rows[:, :, :INSTRUMENTS].sum(axis=2)
    return rows


def _means(sums: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of velocity, offset and hits [n, spans, 3, k] as means of the first two and log hits: float32 [n, -1]."""
    result = np.empty(sums.shape, np.float32)
    np.divide(sums[:, :, :2], np.maximum(sums[:, :, 2:], 1.0), out=result[:, :, :2], casting="same_kind")
    np.log1p(sums[:, :, 2], out=result[:, :, 2], casting="same_kind", dtype=np.float64)
    return result.reshape(len(sums), -1)


def tempo(bpm: float | None) -> NDArray[np.float32]:
    """A tempo as the humaniser is told it: known, and octaves above 120; [TEMPO]."""
    if bpm is None:
        return np.zeros(TEMPO, np.float32)
    return np.array([1.0, min(max(math.log2(bpm / 120.0), -1.5), 1.5)], np.float32)


def parts_of_means(means: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Views of means [n, MEANS]: running ones [n, spans, 3, COLUMNS], those of the place in the bar [n, spans, 3, 9].

    The three are mean velocity and mean offset, as shares, and log hits.
    """
    n = len(means)
    running, place = means[:, :_RUNNING], means[:, _RUNNING:]
    return running.reshape(n, -1, 3, COLUMNS), place.reshape(n, -1, 3, INSTRUMENTS)


def hits_alone(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means [n, MEANS] without what velocities and offsets were: the counts of hits stay."""
    result = means.copy()
    for part in parts_of_means(result):
        part[:, :, :2] = 0.0
    return result


def _scaled(velocity: NDArray[np.uint8], offset: NDArray[np.int16]) -> NDArray[np.float64]:
    """[n, 9] each as shares of their range, [n, 2, 9]; an offset without a hit is 0."""
    return np.stack([velocity, np.where(velocity > 0, offset, 0)], axis=1) / UNIT


def heard_lags(steps: int) -> NDArray[np.int64]:
    """Lags in steps of the hits whose playing is seen: [LAGS]."""
    return np.array([*range(1, NEAR + 1), steps, 2 * steps], np.int64)


@dataclass(frozen=True, slots=True)
class Played:
    """Pieces of S steps end to end, ready to give the features of any of their steps.

    masks [S]; played: velocity and offset as shares, [S, 2, 9]; start, end: of each step's piece [S]; bar_end: of its
    bar [S]; steps: in its bar [S]; lags [S, LAGS]; sums before each step [S + 1, 3, COLUMNS]
    """

    masks: NDArray[np.int64]
    played: NDArray[np.float32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    bar_end: NDArray[np.int64]
    steps: NDArray[np.int64]
    lags: NDArray[np.int64]
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
        here, lengths = np.arange(len(masks)), np.diff(piece_start)
        start, end = np.repeat(piece_start[:-1], lengths), np.repeat(piece_start[1:], lengths)
        steps = np.repeat(piece_steps, lengths)
        step = (here - start) % steps
        kinds, kind = np.unique(piece_steps, return_inverse=True)
        lags = np.array([heard_lags(int(n)) for n in kinds]).reshape(-1, LAGS)[np.repeat(kind, lengths)]
        played = _scaled(velocity, offset)
        sums = np.zeros((len(masks) + 1, 3, COLUMNS))
        np.cumsum(_row(played, velocity > 0, step % BEAT), axis=0, out=sums[1:])
        return cls(
            masks.astype(np.int64), played.astype(np.float32), start, end, here + steps - step, steps, lags, sums
        )

    def around(self, rows: NDArray[np.int64], whole_piece: bool) -> NDArray[np.int64]:
        """Hits around each step [n, AROUND]; those ahead to the end of the piece, or only of its bar, as when live."""
        at = rows[:, None] + np.arange(-BACK, AHEAD + 1)
        end = (self.end if whole_piece else self.bar_end)[rows, None]
        known = (at >= self.start[rows, None]) & (at < end)
        return np.where(known, self.masks[np.clip(at, 0, len(self.masks) - 1)], NO_MUSIC)

    def heard(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """How the steps at the lags were played: [n, HEARD], velocity and offset of each."""
        at = rows[:, None] - self.lags[rows]
        known = (at >= self.start[rows, None])[..., None, None]
        return np.where(known, self.played[np.maximum(at, 0)], np.float32(0.0)).reshape(len(rows), HEARD)

    def means(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Means before each step: [n, MEANS], running ones and those of the same step of past bars."""
        start = self.start[rows, None]
        running = self.sums[rows, None] - self.sums[np.maximum(rows[:, None] - np.array(MEAN_SPANS), start)]
        at = rows[:, None] - self.steps[rows, None] * np.arange(1, _MOST_BARS + 1)
        there = np.maximum(at, 0)
        bars = np.concatenate([self.played[there], (self.masks[there][..., None, None] >> _BITS) & 1], axis=2)
        bars *= (at >= start)[..., None, None]
        places = np.stack([bars[:, :span].sum(axis=1) for span in PLACE_SPANS], axis=1)
        return np.concatenate([_means(running), _means(places)], axis=1)


class Performance:
    """The features of one bar while it is played: made for the whole bar, to which each step that is played adds.

    `on` says what is hit: bool [n, 9].
    """

    def __init__(self, history: Sequence[Bar], masks: NDArray[np.uint16]) -> None:
        """history: bars before it, any metres; masks: of the whole bar."""
        n = len(masks)
        before = max(_LONGEST, _MOST_BARS * n)
        recent, count, same = len(history), 0, 0
        while recent and count < before:
            recent -= 1
            steps = len(history[recent].masks)
            count += steps
            same += steps == n and count == (same + 1) * n
        line = np.full(before + n + AHEAD, NO_MUSIC, np.int64)
        line[before : before + n] = masks
        # As _row, but time last, along which numpy is quickest; whole 128ths, which even a float32 sums exactly.
        rows, place = np.zeros((3, COLUMNS, before + n), np.float32), np.arange(-before, n) % BEAT
        drums = rows[:, :INSTRUMENTS]
        self.on = hits(masks)
        drums[2, :, before:] = self.on.T
        if count:
            bars, known = history[recent:], slice(max(0, before - count), before)
            line[known] = np.concatenate([bar.masks for bar in bars])[-before:]
            velocity = np.concatenate([bar.velocity for bar in bars])[-before:].T
            drums[0, :, known] = velocity
            drums[1, :, known] = np.concatenate([bar.offset for bar in bars])[-before:].T
            drums[2, :, known] = velocity > 0
            place[known] = np.concatenate([_PLACES[: len(bar.masks)] for bar in bars])[-before:]
        drums[:2] /= UNIT
        np.multiply(drums.sum(axis=1)[:, None], place == np.arange(BEAT)[:, None], out=rows[:, INSTRUMENTS:])
        # Sums over the spans before each step of the bar, as one product with what lies within them.
        at, time = np.arange(before, before + n, dtype=np.int16), np.arange(before + n, dtype=np.int16)[:, None]
        starts = np.concatenate([at - np.int16(span) for span in MEAN_SPANS])
        within = (time >= starts) & (time < np.concatenate([at] * len(MEAN_SPANS)))
        sums = rows.reshape(3 * COLUMNS, -1) @ within.astype(np.float32)
        self._sums = np.ascontiguousarray(sums.reshape(3, COLUMNS, -1, n).transpose(3, 2, 0, 1))
        bars_ago = np.arange(min(_MOST_BARS, same), 0, -1)
        past = drums[:, :, before - len(bars_ago) * n : before].reshape(3, INSTRUMENTS, -1, n)
        places = (bars_ago <= np.array(PLACE_SPANS)[:, None]).astype(np.float32) @ past
        self._means = np.concatenate([_means(self._sums), _means(places.transpose(3, 2, 0, 1))], axis=1)
        self._around = line[at[:, None] + np.arange(-BACK, AHEAD + 1)]
        last = np.ascontiguousarray(drums[:2, :, before - 2 * n :].transpose(2, 0, 1))
        self._heard = last[at[:, None] - before + 2 * n - heard_lags(n)].reshape(n, HEARD)
        self._hits = np.maximum(self._sums[:, :, 2:], 1.0)
        self._running = parts_of_means(self._means)[0]
        self._steps_heard = self._heard.reshape(n * LAGS, 2, INSTRUMENTS)

    def look(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """around [1, AROUND], heard [1, HEARD] and means [1, MEANS] of a step; those before it have been played."""
        mean = self._running[step, :, :2]
        np.divide(self._sums[step, :, :2], self._hits[step], out=mean, casting="same_kind")
        row = slice(step, step + 1)
        return self._around[row], self._heard[row], self._means[row]

    def play(self, step: int, values: NDArray[np.float64]) -> None:
        """Say how a step was played after `look` at it: velocity and offset [2, 9], 0 where there is no hit."""
        played = values / UNIT
        # The next step hears it at the first lag, the one after at the second: down the diagonal.
        self._steps_heard[(step + 1) * LAGS :: LAGS + 1][:NEAR] = played
        row = played @ _SPREAD[step % BEAT]
        self._sums[step + 1 :, :, :2] += row
        for i, span in enumerate(MEAN_SPANS):
            if step + 1 + span < len(self._sums):  # it drops out before the end of a long bar
                self._sums[step + 1 + span :, i, :2] -= row
