"""Loop: audio of exactly a span, as an engine of audio returns it; and how a span of audio is made to last longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.music import TICKS_PER_BEAT

RATE_MIN, RATE_MAX = 8_000, 192_000
CHANNELS_MAX = 2

CONTEXT_S = 0.25
"""What is heard before and after a span when it is stretched: two blocks of the stretcher, so that its edges fit."""

SEAM_S = 0.01
"""How long the end of a stretched loop fades into its beginning."""

Frames = NDArray[np.float32]
"""Audio, [frames, channels] float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """Frames [n, channels] float32, -1 to 1, one or two channels, at `rate` frames a second; `length` in ticks.

    All n frames last exactly `length` ticks at the tempo that the request named: n is that time times the rate,
    rounded (`frames_in`).
    """

    frames: Frames
    rate: int
    length: int

    def __eq__(self, other: object) -> bool:
        """True for the same samples at the same rate in the same span."""
        if not isinstance(other, Loop):
            return NotImplemented
        same = (self.rate, self.length) == (other.rate, other.length)
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
        wanted = None if tempo_bpm is None else frames_in(self.length, tempo_bpm, self.rate)
        if wanted is not None and abs(len(self.frames) - wanted) > 1:
            raise ValueError(f"a loop of {self.length} ticks has {len(self.frames)} frames instead of {wanted}")


def frames_in(ticks: int, tempo_bpm: float, rate: int) -> int:
    """How many frames at a rate so many ticks last, rounded."""
    return round(ticks * 60 * rate / (TICKS_PER_BEAT * tempo_bpm))


def stretched(frames: Frames, start: int, stop: int, wanted: int, rate: int) -> Frames:
    """Frames start to stop of a loop, [n, channels], which goes round, in exactly `wanted` frames of the same pitch.

    As many frames as wanted are handed through untouched. Otherwise the stretcher (python-stretch, Signalsmith's) also
    hears what lies around the span.
    """
    if stop - start == wanted:
        return np.take(frames, np.arange(start, stop), axis=0, mode="wrap")
    made, before = _stretch(frames, start, stop, wanted, rate)
    return made[before : before + wanted]


def stretched_round(frames: Frames, wanted: int, rate: int) -> Frames:
    """A whole loop in `wanted` frames. Its end fades into what came before its beginning, so that it goes round."""
    if len(frames) == wanted:
        return frames
    made, before = _stretch(frames, 0, len(frames), wanted, rate)
    whole = made[before : before + wanted]
    fade = min(round(SEAM_S * rate), before, wanted)
    rising = np.linspace(0, 1, fade, dtype=np.float32)[:, None]
    whole[-fade:] = whole[-fade:] * (1 - rising) + made[before - fade : before] * rising
    return whole


def _stretch(frames: Frames, start: int, stop: int, wanted: int, rate: int) -> tuple[Frames, int]:
    """The span stretched with its context, and where in that the span begins."""
    from python_stretch.Signalsmith import Stretch

    around = round(CONTEXT_S * rate)
    before = round(around * wanted / (stop - start))
    heard = np.take(frames, np.arange(start - around, stop + around), axis=0, mode="wrap")
    stretch = Stretch(0)
    stretch.preset(frames.shape[1], rate)
    stretch.setTimeFactor((stop - start) / wanted)
    made: Any = stretch.process(np.ascontiguousarray(heard.T, np.float32))
    return np.array(made, np.float32).T.copy(), before
