"""When a message came, from the system's own stamp of it."""

from __future__ import annotations

DRIFT_SHARE = 1 / 256
"""How much of each message's delay is taken for the two clocks' drifting apart; a few hundred ppm are followed."""

JUMP_NS = 1_000_000_000
"""A difference of more than this is a clock that was set."""


class Stamper:
    """Our time of messages that carry a foreign clock's time and reach us some time after.

    A message cannot reach us before it came, so the promptest ones tell how the clocks lie to each other, and the
    others' delays, which are those of our thread and not of the music, fall away.
    """

    def __init__(self) -> None:
        self._offset_ns: float | None = None

    def at_ns(self, stamp_ns: float, now_ns: int) -> int:
        """When a message came that was stamped stamp_ns and has reached us now."""
        offset_ns = now_ns - stamp_ns
        if self._offset_ns is None or not 0 < offset_ns - self._offset_ns < JUMP_NS:
            self._offset_ns = offset_ns
        else:
            self._offset_ns += (offset_ns - self._offset_ns) * DRIFT_SHARE
        return round(stamp_ns + self._offset_ns)
