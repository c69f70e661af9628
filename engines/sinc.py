"""Reading audio between its samples: a windowed sinc (Smith, Digital Audio Resampling Home Page, CCRMA)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.audio import Frames

TAPS = 24
PHASES = 512
BETA = 8.0
"""The Kaiser window's: images are some 80 dB down."""

EXACT = 1e-3
"""A position so near to a sample is that sample: it is how far arithmetic may be off, and not heard."""


class SincReader:
    """Reads frames at fractional positions; where these are the samples themselves, it copies them."""

    def __init__(self) -> None:
        at = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
        window = np.i0(BETA * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, 1))) / np.i0(BETA)
        table = np.sinc(at) * window
        self._table = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
        self._taps = np.arange(TAPS) - (TAPS // 2 - 1)

    def read(self, frames: Frames, position: float, slope: float, count: int) -> Frames:
        """`count` frames from a position on, `slope` apart, (count, 2). Silence lies before and behind.

        frames: (n, 2) float32
        """
        nearest = round(position)
        if abs(slope - 1) * count < EXACT and abs(position - nearest) < EXACT:
            return _cut(frames, nearest, count)
        first = int(np.floor(position)) + int(self._taps[0])
        last = int(np.floor(position + slope * count)) + int(self._taps[-1]) + 2
        near = np.ascontiguousarray(_cut(frames, first, last - first))
        at = (position - first) + slope * np.arange(count)
        whole = at.astype(np.int64)
        phase = (at - whole) * PHASES
        row = phase.astype(np.int64)
        weights = self._weights(row, (phase - row).astype(np.float32))
        both = near.view(np.complex64)[:, 0]  # left and right in one number: half the work
        found: Frames = (both[whole[:, None] + self._taps] * weights).sum(axis=1).view(np.float32).reshape(-1, 2)
        return found

    def _weights(self, row: NDArray[np.int64], between: Frames) -> Frames:
        weights: Frames = self._table[row] + between[:, None] * (self._table[row + 1] - self._table[row])
        return weights


def _cut(frames: Frames, first: int, count: int) -> Frames:
    """Frames first to first + count, silent where there are none."""
    if first >= 0 and first + count <= len(frames):
        return frames[first : first + count]
    cut = np.zeros((count, frames.shape[1]), np.float32)
    begin, end = max(0, first), min(len(frames), first + count)
    if begin < end:
        cut[begin - first : end - first] = frames[begin:end]
    return cut
