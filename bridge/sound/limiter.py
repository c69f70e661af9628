"""The limiter: a soft ceiling for what is mixed."""

from __future__ import annotations

import numpy as np

from bridge.sound.kit import Samples

KNEE = 0.7
"""The limiter leaves what is below as it is."""


def limited(mix: Samples) -> Samples:
    """Samples up to KNEE as they are, above bent so that none passes 1. Each by itself: no block is heard."""
    over = np.abs(mix) - KNEE
    if not (over > 0).any():
        return mix
    bent = np.float32(KNEE) + np.float32(1 - KNEE) * np.tanh(over / (1 - KNEE))
    return np.where(over > 0, np.sign(mix) * bent, mix).astype(np.float32)


class Limiter:
    """`limited`, in place and with room of its own, for a callback: nothing is allocated.

    frames: the most that will come at once; channels: of each.
    """

    def __init__(self, frames: int, channels: int = 2) -> None:
        self._level = np.empty((frames, channels), np.float32)
        self._over = np.empty((frames, channels), bool)

    def limit(self, mix: Samples) -> None:
        """Bend what is above the knee."""
        level, over = self._level[: len(mix)], self._over[: len(mix)]
        np.abs(mix, out=level)
        if level.max(initial=0.0) <= KNEE:
            return
        np.greater(level, KNEE, out=over)
        level -= KNEE
        level /= 1 - KNEE
        np.tanh(level, out=level)
        level *= 1 - KNEE
        level += KNEE
        np.copysign(level, mix, out=level)
        np.copyto(mix, level, where=over)
