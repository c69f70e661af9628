"""The console: what a sound device's callback does with the strips of a desk. No lock, no I/O, hardly an allocation.

A strip whose renderer is late is faded to silence and counted; the frames it missed are skipped, so that it comes back
on the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.sound.desk import CAPACITY, FROM, STARVATIONS, STARVED_FRAMES, STRIP_0, STRIP_WORDS, WRITTEN, Desk
from bridge.sound.kit import Samples
from bridge.sound.limiter import Limiter

RAMP_S = 0.005
"""Of a fader that was moved."""

FADE_S = 0.010
"""Of a strip that starved, and of one that comes back."""


@dataclass(slots=True)
class _Strip:
    """A strip as the callback keeps it: its frames, where its fader is, and whether it has been heard."""

    index: int
    ring: Samples
    left: float = 0.0
    right: float = 0.0
    going: bool = False
    begun: bool = False


class Console:
    """Reads strips. frames_max: the most that are ever asked for at once."""

    def __init__(self, desk: Desk, rate: int, frames_max: int) -> None:
        self._desk = desk
        self._strips: tuple[_Strip, ...] = ()
        self._ramp = np.linspace(0, 1, max(1, round(RAMP_S * rate)), endpoint=False, dtype=np.float32)
        self._rise = np.linspace(0, 1, max(1, round(FADE_S * rate)), endpoint=False, dtype=np.float32)[:, None]
        self._fall = np.ascontiguousarray(1 - self._rise)
        self._part = np.empty((frames_max, 2), np.float32)
        self._gains = np.empty(frames_max, np.float32)
        self._limiter = Limiter(frames_max)

    def add(self, index: int) -> None:
        """A strip that is to be heard from now on."""
        if all(strip.index != index for strip in self._strips):
            self._strips = (*self._strips, _Strip(index, self._desk.ring(index)))

    def mix(self, first: int, out: Samples) -> None:
        """All strips' frames from `first` on, into (frames, 2), limited."""
        out.fill(0)
        for strip in self._strips:
            out += self._read(strip, first, len(out))
        self._limiter.limit(out)

    def single(self, index: int, first: int, frames: int) -> Samples:
        """One strip's frames, (frames, 2), limited by themselves; good until the next call."""
        for strip in self._strips:
            if strip.index == index:
                part = self._read(strip, first, frames)
                self._limiter.limit(part)
                return part
        part = self._part[:frames]
        part.fill(0)
        return part

    def _read(self, strip: _Strip, first: int, frames: int) -> Samples:
        part = self._part[:frames]
        words, at = self._desk.words, STRIP_0 + strip.index * STRIP_WORDS
        there = min(frames, max(0, words[at + WRITTEN] - first)) if first >= words[at + FROM] else 0
        start = first % CAPACITY
        until_end = min(there, CAPACITY - start)
        part[:until_end] = strip.ring[start : start + until_end]
        part[until_end:there] = strip.ring[: there - until_end]
        if strip.going and there < frames:
            self._starve(strip, first, there, part)
            words[at + STARVATIONS] += 1
        elif there < frames:
            part.fill(0)
        elif not strip.going:
            strip.going = strip.begun = True
            count = min(frames, len(self._rise))
            part[:count] *= self._rise[:count]
        if there < frames and strip.begun:
            words[at + STARVED_FRAMES] += frames - there
        self._fade(strip, part)
        return part

    def _starve(self, strip: _Strip, first: int, there: int, part: Samples) -> None:
        """Let what is there, or the last frame that was, fall to silence."""
        strip.going = False
        count = min(len(part), len(self._fall))
        if there < count:
            last = part[there - 1] if there else strip.ring[(first - 1) % CAPACITY]
            part[there:] = last
        part[:count] *= self._fall[:count]
        part[count:] = 0

    def _fade(self, strip: _Strip, part: Samples) -> None:
        left, right = self._desk.fader(strip.index)
        if left == strip.left and right == strip.right:
            if left != 1.0:
                part[:, 0] *= np.float32(left)
            if right != 1.0:
                part[:, 1] *= np.float32(right)
            return
        self._slide(part[:, 0], strip.left, left)
        self._slide(part[:, 1], strip.right, right)
        strip.left, strip.right = left, right

    def _slide(self, side: Samples, before: float, after: float) -> None:
        """A fader that goes from one place to another within a ramp."""
        count = min(len(side), len(self._ramp))
        gains = self._gains[:count]
        np.multiply(self._ramp[:count], np.float32(after - before), out=gains)
        gains += np.float32(before)
        side[:count] *= gains
        side[count:] *= np.float32(after)
