"""From a stream's codes to bars of sound: exactly so many samples, joined to what was there before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.audio import Frames
from engines.musicgen.codec import Codec
from engines.musicgen.delay import Codes
from engines.musicgen.shape import Shape
from engines.stretch import CONTEXT_S, laid

AFTER_S = 0.02
"""Of what follows a stretched bar, beyond its fade, the stretcher hears so much."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far codes have to be made for sound up to some sample to be certain."""

    shape: Shape

    def frames(self, sample: int) -> int:
        """Whole frames of codes from the first of all."""
        return -(-sample // self.shape.hop) + self.shape.right

    def columns(self, sample: int) -> int:
        """Columns from the first of all, the one of padding with them."""
        return self.shape.delay.columns(self.frames(sample))


def sound_of(codec: Codec, columns: Codes, before: int, first: int, until: int) -> Frames:
    """The samples from `first` up to `until` of a stream's columns [books, n], as they are decoded offline.

    before: columns that were made before these. What is not kept any more before the first frame is not heard.
    """
    shape = codec.shape
    frames = shape.delay.gathered(columns)
    begin, end = first // shape.hop, -(-until // shape.hop)
    low, high = max(before, begin - shape.left), min(before + frames.shape[1], end + shape.right)
    sound = codec.chunk(frames[:, low - before : high - before], begin - low, end - begin)
    return sound[first - begin * shape.hop : until - begin * shape.hop]


def stretched_bar(sound: Frames, at: int, count: int, wanted: int, *, fade: int, rate: int) -> Frames:
    """`count` samples from `at` on brought to `wanted` at their pitch, and `fade` more that would follow.

    sound: with what is around them, for the stretcher to hear
    """
    ratio = wanted / count
    lead = min(at, round(CONTEXT_S * rate))
    before = round(lead * ratio)
    both = np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound
    made = laid(both, at - before / ratio, ratio, before + wanted + fade, rate)
    return np.ascontiguousarray(made[before:, : sound.shape[1]])


def faded(tail: Frames, frames: Frames) -> Frames:
    """Frames whose beginning comes up out of a tail, which is what would have followed the sound before."""
    count = min(len(tail), len(frames))
    if not count:
        return frames
    rising = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None]
    joined = frames.copy()
    joined[:count] = tail[:count] * (1 - rising) + frames[:count] * rising
    return joined


def ended(frames: Frames, lead: Frames) -> Frames:
    """Frames whose end goes over into what leads to the sound that follows."""
    count = min(len(lead), len(frames))
    if not count:
        return frames
    joined = frames.copy()
    joined[-count:] = faded(joined[-count:], lead[-count:])
    return joined


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """Bars that come again and again.

    key: what they were made for; they are over when it is another; count: how many there are to be
    lead: what was heard just before the first; bars: those that there are; next: which is due
    """

    key: tuple[object, ...]
    count: int
    lead: Frames
    bars: tuple[Frames, ...] = ()
    next: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of them are made."""
        return len(self.bars) == self.count
