"""Where sound lies on the beat: how strongly something begins at each moment, and how a bar is best laid on its grid.

What begins is heard as spectral flux: the growth of log magnitudes, summed over the spectrum (Böck, Krebs and Schedl,
"Evaluating the Online Capabilities of Onset Detection Methods", 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.audio import Frames
from engines.music import TICKS_PER_BEAT, Meter

HOP_S, WINDOW_S = 0.005, 0.02
LATE_S = 0.015
"""From a window's beginning to the attack at which its flux is largest."""

NEAR = 3
"""Hops to both sides of a moment in which an attack counts for it, less and less."""

STRETCH_MAX = 0.06
STEP_S = 0.005
GAIN_MIN = 0.6
"""In standard deviations of the onset strength: a stretch that gains no more is not worth it."""

TIE = 0.05
"""Of two ways as good, the one that is stretched less: so much is the most that a stretch costs."""

DOWNBEAT, BEAT, EIGHTH = 1.5, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class Lie:
    """How a bar lies in some sound: from sample `offset` on, `count` samples; score: in standard deviations."""

    offset: int
    count: int
    score: float


def onset_strength(sound: Frames, rate: int) -> NDArray[np.float64]:
    """How strongly something begins, each HOP_S from 0 on: of mean 0 and standard deviation 1; all 0 in silence."""
    hop, window = round(HOP_S * rate), round(WINDOW_S * rate)
    mono = np.concatenate([np.zeros(window), sound.mean(axis=1, dtype=np.float64), np.zeros(window)])
    views = np.lib.stride_tricks.sliding_window_view(mono, window)[::hop]
    levels = np.log1p(100.0 * np.abs(np.fft.rfft(views * np.hanning(window), axis=1)))
    flux = np.maximum(levels[1:] - levels[:-1], 0.0).sum(axis=1)
    # flux[i] belongs to the window that begins at (i + 1) * hop - window
    first = round((window / rate - LATE_S) / HOP_S) - 1
    count = int(np.ceil(len(sound) / hop))
    flux = flux[max(0, first) : max(0, first) + count]
    blurred = np.convolve(flux, np.bartlett(2 * NEAR + 3)[1:-1], mode="same")
    spread = float(blurred.std())
    return (blurred - blurred.mean()) / spread if spread > 1e-9 else np.zeros_like(blurred)


def grid_of(meter: Meter, ticks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where in a span something is to begin, from 0 to 1, and how much each of these moments counts.

    The next downbeat, at 1, is one of them.
    """
    half = TICKS_PER_BEAT // 2
    moments = dict.fromkeys(range(0, ticks, half), EIGHTH)
    moments |= dict.fromkeys(range(0, ticks, meter.felt_beat_ticks), BEAT)
    moments |= {0: DOWNBEAT, ticks: DOWNBEAT}
    at = np.array(sorted(moments), np.float64)
    return at / ticks, np.array([moments[int(tick)] for tick in at])


def best_lie(sound: Frames, rate: int, wanted: int, meter: Meter, ticks: int, *, offset_max: int, stretch: bool) -> Lie:
    """How a bar of `wanted` samples is best taken from sound: from where, and how many of its samples.

    offset_max: samples from the beginning in which the downbeat may be; 0: it is the first
    stretch: other numbers of samples than `wanted` may be taken, and are where something is gained by it
    """
    strength = onset_strength(sound, rate)
    moments, weights = grid_of(meter, ticks)
    step = STEP_S * rate
    ways = int(STRETCH_MAX * wanted / step) if stretch else 0
    counts = np.rint(wanted + step * np.arange(-ways, ways + 1)).astype(int)
    offsets = np.rint(np.arange(0.0, offset_max + 1.0, step)).astype(int)
    index = (offsets[:, None, None] + counts[None, :, None] * moments) / (HOP_S * rate)
    heard = np.interp(index.ravel(), np.arange(len(strength)), strength).reshape(index.shape)
    scores = (heard * weights).sum(axis=2) / weights.sum()
    scores -= TIE * np.abs(counts / wanted - 1.0) / STRETCH_MAX
    plain = float(scores[0, ways])
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    best = float(scores[row, column])
    if best - plain < GAIN_MIN:
        return Lie(0, wanted, plain)
    return Lie(int(offsets[row]), int(counts[column]), best)
