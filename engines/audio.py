"""Loop: audio of exactly a span, as an engine of audio returns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_MIN, RATE_MAX = 8_000, 192_000
CHANNELS_MAX = 2


@dataclass(frozen=True, slots=True)
class Loop:
    """Frames [n, channels] float32, -1 to 1, one or two channels, at `rate` frames a second; `length` in ticks.

    All n frames last exactly `length` ticks at the tempo that the request named: n is that time times the rate,
    rounded.
    """

    frames: NDArray[np.float32]
    rate: int
    length: int

    def check(self) -> None:
        """Raise ValueError for a loop that cannot be played."""
        if self.frames.dtype != np.float32 or self.frames.ndim != 2:
            raise ValueError(f"a loop is float32 [frames, channels], not {self.frames.dtype} {self.frames.shape}")
        if not (len(self.frames) and 1 <= self.frames.shape[1] <= CHANNELS_MAX):
            raise ValueError(f"a loop has frames in one or two channels, not {self.frames.shape}")
        if not RATE_MIN <= self.rate <= RATE_MAX or self.length < 1:
            raise ValueError(f"a loop of {self.length} ticks at {self.rate} Hz cannot be played")
        if not np.isfinite(self.frames).all():
            raise ValueError("a loop holds numbers that are not finite")
