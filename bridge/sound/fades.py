"""Fades: how what is cut, or enters in its middle, comes and goes."""

from __future__ import annotations

import numpy as np

from bridge.sound.clock import FrameClock
from bridge.sound.kit import Samples
from bridge.sound.takes import FADE_S


class Fades:
    """Fades of FADE_S at a device's rate, applied in place to parts of a sound, (n, 2)."""

    def __init__(self, rate: int) -> None:
        self.frames = round(FADE_S * rate)
        self._rise = np.linspace(0, 1, self.frames, endpoint=False, dtype=np.float32)

    def rise(self, part: Samples, at: int) -> None:
        """Fade in a part of which index 0 lies `at` frames behind where the fade begins."""
        head = self._rise[max(0, at) :][: len(part)]
        part[: len(head)] *= head[:, None]

    def fall(self, part: Samples, at: int) -> None:
        """Fade out a part of which index 0 lies `at` frames behind where the fade begins; silence follows."""
        index = np.clip(np.arange(at, at + len(part)) / self.frames, 0, 1)
        part *= (1 - index).astype(np.float32)[:, None]

    def duck(self, part: Samples, begin: int, clock: FrameClock) -> None:
        """Where the device's clock jumps, a part from frame `begin` on is faded out and in again."""
        for jump in clock.jumps():
            if jump - self.frames < begin + len(part) and begin < jump + self.frames:
                away = np.abs(np.arange(begin, begin + len(part)) - jump) / self.frames
                part *= np.minimum(1, away).astype(np.float32)[:, None]
