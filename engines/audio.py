"""Loop: audio of exactly a span, as an engine of audio returns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.music import TICKS_PER_BEAT

RATE_MIN, RATE_MAX = 8_000, 192_000
CHANNELS_MAX = 2

LEAD_S, LEAD_MAX_S = 0.02, 1.0
"""How much of what came before a loop makes its beginning seamless, and the most that it may bring."""

Frames = NDArray[np.float32]
"""Audio, [frames, channels] float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """Frames [n, channels] float32, -1 to 1, one or two channels, at `rate` frames a second; `length` in ticks.

    All n frames last exactly `length` ticks at the tempo that the request named: n is that time times the rate,
    rounded (`frames_in`).

    lead: so many frames of them, at their beginning, lie before the span: what sounded until then. A loop that has some
    is joined to the one before it without a seam, whatever the device's rate and wherever between two of its frames the
    span begins; LEAD_S is enough.
    again: there was no time for anything new; this is what sounded before
    """

    frames: Frames
    rate: int
    length: int
    lead: int = 0
    again: bool = False

    def __eq__(self, other: object) -> bool:
        """True for the same samples at the same rate in the same span."""
        if not isinstance(other, Loop):
            return NotImplemented
        same = (self.rate, self.length, self.lead, self.again) == (other.rate, other.length, other.lead, other.again)
        return same and np.array_equal(self.frames, other.frames)

    __hash__ = None  # type: ignore[assignment]  # its frames are an array

    def check(self, tempo_bpm: float | None = None) -> None:
        """Raise ValueError for a loop that cannot be played, or that does not take its span at a tempo."""
        if self.frames.dtype != np.float32 or self.frames.ndim != 2:
            raise ValueError(f"a loop is float32 [frames, channels], not {self.frames.dtype} {self.frames.shape}")
        if not (len(self.frames) and 1 <= self.frames.shape[1] <= CHANNELS_MAX):
            raise ValueError(f"a loop has frames in one or two channels, not {self.frames.shape}")
        if not RATE_MIN <= self.rate <= RATE_MAX or self.length < 1:
            raise ValueError(f"a loop of {self.length} ticks at {self.rate} Hz cannot be played")
        if not np.isfinite(self.frames).all():
            raise ValueError("a loop holds numbers that are not finite")
        if not 0 <= self.lead <= min(LEAD_MAX_S * self.rate, len(self.frames) - 1):
            raise ValueError(f"a loop of {len(self.frames)} frames cannot have a lead of {self.lead}")
        wanted = None if tempo_bpm is None else frames_in(self.length, tempo_bpm, self.rate)
        if wanted is not None and abs(len(self.frames) - self.lead - wanted) > 1:
            told = f"{len(self.frames) - self.lead} frames instead of {wanted}"
            raise ValueError(f"a loop of {self.length} ticks has {told}")


def frames_in(ticks: int, tempo_bpm: float, rate: int) -> int:
    """How many frames at a rate so many ticks last, rounded."""
    return round(ticks * 60 * rate / (TICKS_PER_BEAT * tempo_bpm))
