"""How far ahead of a sound device its renderers are."""

from __future__ import annotations

AHEAD_S = 0.040
"""Frames that lie ready, but for a device that takes more at once: a block, the next one and MARGIN_S then."""

MARGIN_S = 0.015
GUARD_S = 0.004
"""At least so long before the device may take a frame it is not changed any more."""


def ahead_frames(rate: int, block: int) -> int:
    """How many frames lie ready at most, for a device that takes so many at once."""
    return max(round(AHEAD_S * rate), block + guard_frames(rate, block) + round(MARGIN_S * rate))


def guard_frames(rate: int, block: int) -> int:
    """How many of them are not changed any more: those that the device may take next."""
    return max(block, round(GUARD_S * rate))


def ready_frames(rate: int, block: int) -> int:
    """How many frames of an instrument that cannot go back lie ready: as few as will do."""
    return 2 * block + round(GUARD_S * rate)
