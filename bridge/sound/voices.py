"""Voices: what the mixer mixes. Each is a value, which plays the same frames as often as it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bridge.sound.kit import Samples
from bridge.sound.timbres import CYCLE, Timbre

TONE_MAX_S = 12.0
"""A note that is never let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice(ABC):
    """Something that sounds from a frame on, until it is over or choked."""

    start: int
    rate: int
    choked: int | None = None

    def choked_at(self, frame: int) -> Self:
        """The same, fading from a frame on."""
        return self if self.choked is not None else replace(self, choked=frame)

    def released_at(self, channel: int, pitch: int, frame: int) -> Self:
        """The same, with the key of a pitch let go at a frame."""
        del channel, pitch, frame
        return self

    def over(self, frame: int) -> bool:
        """Whether nothing of it is left at a frame."""
        return self.choked is not None and frame >= self.choked + self.rate // 100

    def add_to(self, mix: Samples, frame: int) -> None:
        """Add what falls into a block that begins at a frame."""
        first = max(0, self.start - frame)
        if first >= len(mix):
            return
        at = np.arange(frame + first, frame + len(mix))
        part = self.samples(at - self.start)
        if self.choked is not None:
            fade = np.clip(1 - (at - self.choked) / (self.rate // 100), 0, 1).astype(np.float32)
            part = part * fade[: len(part), None]
        mix[first : first + len(part)] += part

    @abstractmethod
    def samples(self, at: NDArray[np.int64]) -> Samples:
        """Its frames by their number from its start, (frames, 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drum(Voice):
    """struck: its frames; sides: how much of them goes left and right."""

    name: str
    struck: Samples
    sides: Samples

    def over(self, frame: int) -> bool:
        """See Voice."""
        return Voice.over(self, frame) or frame >= self.start + len(self.struck)

    def samples(self, at: NDArray[np.int64]) -> Samples:
        """See Voice."""
        return self.struck[at[0] : at[-1] + 1, None] * self.sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone(Voice):
    """A note of a pitched part.

    body, edge: one cycle of what rings long, and of what it is struck or blown with, float32 [CYCLE]
    released: when its key was let go, counted from start
    """

    channel: int
    pitch: int
    velocity: int
    timbre: Timbre
    body: Samples
    edge: Samples
    released: int | None = None

    def released_at(self, channel: int, pitch: int, frame: int) -> Self:
        """See Voice."""
        if (channel, pitch) != (self.channel, self.pitch) or self.released is not None:
            return self
        return replace(self, released=max(0, frame - self.start))

    def over(self, frame: int) -> bool:
        """See Voice."""
        end_s = self.timbre.release_s
        released = self.released is not None and frame >= self.start + self.released + end_s * self.rate
        return Voice.over(self, frame) or released or frame >= self.start + TONE_MAX_S * self.rate

    def samples(self, at: NDArray[np.int64]) -> Samples:
        """See Voice."""
        timbre, force = self.timbre, self.velocity / 127
        t = at / self.rate
        level = np.minimum(1, t / timbre.attack_s) * (timbre.gain * force**1.5)
        if self.released is not None:
            level *= np.clip(1 - (at - self.released) / (timbre.release_s * self.rate), 0, 1)
        body = level * np.exp(-t / timbre.body_s)
        edge = level * np.exp(-t / timbre.edge_s) * force
        turns = t * (440.0 * 2 ** ((self.pitch - 69) / 12))
        out = np.empty((len(at), 2), np.float32)
        for side, detune in enumerate((1 - timbre.width, 1 + timbre.width) if timbre.width else (1.0,)):
            place = ((turns * detune) % 1.0 * CYCLE).astype(np.intp) % CYCLE
            out[:, side] = body * self.body[place] + edge * self.edge[place]
        if not timbre.width:
            out[:, 1] = out[:, 0]
        return out * timbre.sides
