"""What the groove network sees before each step: the past around it, and every past bar as a candidate to copy.

One definition, two ways to it: `tables` makes the features of whole pieces at once for training and evaluation,
`Window` those of one bar for playing, for any guess at its masks. tests/engines/test_groove_features.py holds them
equal.

A *line* is the music so far as masks, one a step, in one metre of n steps a bar. Bars of another metre are fitted to
it by repeating or cutting (`fitted`), so that a lag of k n steps is always the same place k bars ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, MASKS
from engines.errors import SidemanError
from engines.music import Meter

FEATURE_VERSION = 2
"""Changes whenever a number below changes its meaning; a bundle names the version it was trained with."""

NO_MUSIC = MASKS
"""The mask of a step before the first."""

STEPS_MIN, STEPS_MAX = 8, 28
"""Steps a bar that are played: 2/4 to 7/4, so 7/8 too."""

NEAR_LAGS = 18
AROUND_BARS: tuple[tuple[int, int, int], ...] = (
    (1, -4, 3), (2, -3, 2), (3, -1, 1), (4, -2, 2), (5, 0, 0), (6, 0, 0), (7, 0, 0), (8, -1, 1), (12, 0, 0), (16, 0, 0),
)  # fmt: skip
"""(bars ago, from, to): lags of k bars and some steps, which the network's body sees besides the near ones."""

SHORT_LAGS = (1, 2, 3, 4, 6, 8, 12)
"""Steps; candidates to copy from within the bar."""

BAR_LAGS = 32
"""Bars; each is a candidate to copy."""

CANDIDATES = len(SHORT_LAGS) + BAR_LAGS
SPANS = (4, 8, 16, 32)
"""Steps over which a candidate's agreement with what was played is counted."""

DRUM_SPANS = (16, 4)
"""Those of SPANS over which each instrument's differences from a candidate are counted."""

SPAN_MAX = max(SPANS)
RUN_MAX = 64
WHOLE = len(SPANS) + 2
AGREEMENTS = WHOLE + len(DRUM_SPANS) * INSTRUMENTS
"""Numbers about each candidate. WHOLE of its masks: steps agreed in each span, steps agreed in a row, past bars with
the same mask here. Then for each of DRUM_SPANS, in how many steps each instrument differed."""

SCALE = np.array(
    [*(1 / span for span in SPANS), 1 / 16, 1 / 8, *[1 / 8] * INSTRUMENTS, *[1 / 2] * INSTRUMENTS], np.float32
)
"""What those numbers are multiplied with for the network."""

CONTEXT = 3 * STEPS_MAX + 4 + 8 + 4 + 1
PAST = NEAR_LAGS + sum(last - first + 1 for _, first, last in AROUND_BARS)

_AROUND = [(bars, extra) for bars, first, last in AROUND_BARS for extra in range(first, last + 1)]
_PAST_STEPS = np.array([*range(1, NEAR_LAGS + 1), *(extra for _, extra in _AROUND)], np.int64)
_PAST_BARS = np.array([0] * NEAR_LAGS + [bars for bars, _ in _AROUND], np.int64)
_COPY_STEPS = np.array([*SHORT_LAGS, *[0] * BAR_LAGS], np.int64)
_COPY_BARS = np.array([*[0] * len(SHORT_LAGS), *range(1, BAR_LAGS + 1)], np.int64)
"""Lags as so many steps and so many bars."""

_XOR = np.arange(2 * MASKS)[:, None]
_TOLD = np.concatenate([_XOR == 0, _XOR >> np.arange(INSTRUMENTS) & 1], axis=1).astype(np.float32)
_TOLD[MASKS:, 1:] = 1
"""Of a candidate's mask XOR what was played: 1 if they agree, and 1 for each instrument that differs (from NO_MUSIC,
all nine); [2 MASKS, 1 + 9]."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Features of S steps. past: int16 [S, PAST]; copies: int16 [S, CANDIDATES]; both masks, or NO_MUSIC;
    agreement: uint8 [S, CANDIDATES, AGREEMENTS], to be multiplied with SCALE."""

    past: NDArray[np.int16]
    copies: NDArray[np.int16]
    agreement: NDArray[np.uint8]


def check_meter(meter: Meter) -> int:
    """Steps a bar of a metre the model plays. Raises SidemanError for another."""
    steps = meter.steps
    if steps * meter.denominator != meter.numerator * 16 or not STEPS_MIN <= steps <= STEPS_MAX:
        raise SidemanError(f"the groove model has no bars of {meter}: it plays 2/4 to 7/4 and 4/8 to 14/8")
    return steps


def fitted(masks: NDArray[np.uint16], steps: int) -> NDArray[np.uint16]:
    """A bar's masks [n] as a bar of another metre: cut, or repeated from its start."""
    return masks if len(masks) == steps else masks[np.arange(steps) % len(masks)]


def past_lags(steps: int) -> NDArray[np.int64]:
    """Lags of Tables.past, in steps, for bars of so many steps: int64 [PAST]."""
    return _PAST_STEPS + steps * _PAST_BARS


def copy_lags(steps: int) -> NDArray[np.int64]:
    """Lags of Tables.copies, in steps: int64 [CANDIDATES]."""
    return _COPY_STEPS + steps * _COPY_BARS


def context(meter: Meter, bar: int) -> NDArray[np.float32]:
    """Where each step of a bar lies, [n, CONTEXT]: the step from the bar's start and to its end, within the beat, the
    bar's length and its number in the song (from 0), modulo 8 and as at least 1, 2, 4, 8; whether beats are eighths.
    """
    n = meter.steps
    step = np.arange(n)
    rows = np.zeros((n, CONTEXT), np.float32)
    rows[step, step] = 1.0
    rows[step, STEPS_MAX + n - 1 - step] = 1.0
    rows[:, 2 * STEPS_MAX + n - 1] = 1.0
    rest = rows[:, 3 * STEPS_MAX :]
    rest[step, step % 4] = 1.0
    rest[:, 4 + bar % 8] = 1.0
    rest[:, 12:16] = bar >= np.array([1, 2, 4, 8])
    rest[:, 16] = meter.denominator >= 8
    return rows


def controlled(style: int, styles: int, fill: bool | None, density: float | None) -> NDArray[np.float32]:
    """What the player asks for, as a row that follows `context`: [styles + 6].

    style: index, -1 any; fill: None unknown; density: 0..1 or None. All zero says nothing.
    """
    row = np.zeros(styles + 6, np.float32)
    if style >= 0:
        row[style] = 1.0
    row[styles + (0 if fill is None else 2 if fill else 1)] = 1.0
    if density is not None:
        row[styles + 3 :] = 1.0, density, density * density
    return row


def tables(masks: NDArray[np.uint16], piece_start: NDArray[np.int64], piece_steps: NDArray[np.int64]) -> Tables:
    """Features of every step of P lines end to end.

    masks: [S]; piece_start: [P + 1], where each line starts, and S; piece_steps: [P], steps a bar of each.
    """
    total = len(masks)
    lengths = np.diff(piece_start)
    here = np.arange(total)
    start = np.repeat(piece_start[:-1], lengths)
    line = masks.astype(np.int16)
    which = np.repeat(np.arange(len(lengths)), lengths)
    kinds, kind_of_piece = np.unique(piece_steps, return_inverse=True)
    kind = kind_of_piece[which]

    def heard(lags_of_kind: NDArray[np.int64]) -> NDArray[np.int16]:
        source = here - lags_of_kind[kind]
        return np.where(source >= start, line[np.maximum(source, 0)], np.int16(NO_MUSIC))

    past_by_kind = np.array([past_lags(int(n)) for n in kinds]).reshape(-1, PAST)
    copy_by_kind = np.array([copy_lags(int(n)) for n in kinds]).reshape(-1, CANDIDATES)
    past = np.stack([heard(past_by_kind[:, i]) for i in range(PAST)], axis=1)
    copies = np.stack([heard(copy_by_kind[:, i]) for i in range(CANDIDATES)], axis=1)

    agreement = np.zeros((total, CANDIDATES, AGREEMENTS), np.uint8)
    since = [np.maximum(here - span, start) for span in (*SPANS, *DRUM_SPANS)]
    for i in range(CANDIDATES):
        same = copies[:, i] == line
        count = _running(same)
        for j in range(len(SPANS)):
            agreement[:, i, j] = count[here] - count[since[j]]
        differed = np.maximum.accumulate(np.where(same, -1, here))
        before = np.concatenate([[-1], differed[:-1]])
        agreement[:, i, len(SPANS)] = np.where(here > start, np.minimum(here - 1 - before, RUN_MAX), 0)
        told = _TOLD[copies[:, i] ^ line]
        for drum in range(INSTRUMENTS):
            count = _running(told[:, 1 + drum])
            for j, ago in enumerate(since[len(SPANS) :]):
                agreement[:, i, WHOLE + j * INSTRUMENTS + drum] = count[here] - count[ago]
    for rows in np.array_split(here, total // 8192 + 1):
        agreement[rows, len(SHORT_LAGS) :, WHOLE - 1] = _popularity(copies[rows, len(SHORT_LAGS) :])
    return Tables(past, copies, agreement)


def _running(values: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


def _popularity(bars: NDArray[np.int16]) -> NDArray[np.uint8]:
    """How many of the past bars have the mask that each has here: [n, BAR_LAGS] of masks -> uint8 [n, BAR_LAGS]."""
    same = np.add.reduce(bars[:, :, None] == bars[:, None, :], axis=1, dtype=np.uint8)
    return np.where(bars == NO_MUSIC, np.uint8(0), same)


class Window:
    """The features of one bar for any guess at its masks: those of a step follow from the masks before it alone.

    `absent` says which candidates lie before the first step there is: bool [n, CANDIDATES].
    """

    def __init__(self, history: Sequence[NDArray[np.uint16]], steps: int) -> None:
        """history: masks of the bars before it, oldest first, any metres; steps: n, of the bar."""
        front = BAR_LAGS * steps + RUN_MAX
        known = [fitted(masks, steps) for masks in history[-(BAR_LAGS + RUN_MAX // steps + 1) :]]
        silence = np.full(max(0, front - steps * len(known)), NO_MUSIC, np.int64)
        self._line = np.concatenate([silence, *known, np.zeros(steps, np.int64)])[-front - steps :]
        at = np.arange(front - 1, front + steps)[:, None]  # from the step before the bar on
        self._past_at, self._copy_at = at[1:] - past_lags(steps), at - copy_lags(steps)
        copies = self._line[self._copy_at[1:]]
        self.absent = copies == NO_MUSIC
        # Whole bars ago are known for all steps of the bar by now.
        self._popular = np.zeros((steps, CANDIDATES), np.uint8)
        self._popular[:, len(SHORT_LAGS) :] = _popularity(copies[:, len(SHORT_LAGS) :].astype(np.int16))
        # Backwards from the bar: where each candidate last differed, and all that is told, summed from the bar's start.
        at = np.arange(front - 1, front - 1 - RUN_MAX, -1)[:, None]
        played = self._line[at]
        apart = self._line[at - copy_lags(steps)] ^ played
        same = (apart == 0) & (played != NO_MUSIC)
        self._differed = -1 - np.where(same.all(axis=0), RUN_MAX, same.argmin(axis=0))
        told = _TOLD.take(apart[:SPAN_MAX], axis=0)  # take is much faster than indexing
        told[:, :, 0] = same[:SPAN_MAX]
        self._sum = np.tri(SPAN_MAX, dtype=np.float32)  # and a product than np.cumsum
        self._told = np.zeros((SPAN_MAX + steps, *told.shape[1:]), np.float32)
        self._told[SPAN_MAX - 1 :: -1] = -np.tensordot(self._sum, told, 1)
        self._since = SPAN_MAX + np.arange(steps) - np.array(SPANS)[:, None]
        self._step_before = np.arange(-1, steps - 1)[:, None]

    def look(
        self, masks: NDArray[np.uint16], first: int, last: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """past [k, PAST], copies [k, CANDIDATES] and scaled agreement [k, CANDIDATES, AGREEMENTS] of steps first to
        last - 1 of the bar, where masks [n] are guessed."""
        n = len(masks)
        self._line[-n:] = masks
        copies = self._line[self._copy_at[: last + 1]]
        told = _TOLD.take(copies[:-1] ^ self._line[-n - 1 : last - 1 - n, None], axis=0)
        self._told[SPAN_MAX + 1 : SPAN_MAX + last] = np.tensordot(self._sum[: last - 1, : last - 1], told[1:], 1)
        within = self._told[SPAN_MAX + first : SPAN_MAX + last] - self._told.take(self._since[:, first:last], axis=0)
        before = self._step_before[:last]
        differed = np.maximum.accumulate(np.where(told[:, :, 0], self._differed, before), axis=0)
        agreement = np.empty((last - first, CANDIDATES, AGREEMENTS), np.float32)
        agreement.transpose(2, 0, 1)[: len(SPANS)] = within[:, :, :, 0]
        agreement[:, :, len(SPANS)] = np.minimum(before[first:] - differed[first:], RUN_MAX)
        agreement[:, :, WHOLE - 1] = self._popular[first:last]
        for j, span in enumerate(DRUM_SPANS):
            agreement[:, :, WHOLE + j * INSTRUMENTS :][:, :, :INSTRUMENTS] = within[SPANS.index(span), :, :, 1:]
        agreement *= SCALE
        return self._line[self._past_at[first:last]], copies[first + 1 :], agreement
