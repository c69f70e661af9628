"""The mixer: notes on sample-exact frames, played with the built-in kit and a plain synth.

The same hits give the same samples, whatever the block size. A voice is a value, which plays the same frames each time:
what has been rendered ahead can be taken back (`rewind`) when a note comes that belongs there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections import deque
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bridge.sound.kit import RATE, Kit, Samples
from bridge.sound.limiter import limited
from engines.music import DRUM_OF_PITCH, DRUMS

DRUM_CHANNEL = 10
VOICES_MAX = 48
"""The oldest voice makes room."""

CHOKE_FRAMES = RATE // 100
"""A hat that is closed fades within 10 ms."""

CHOKED_BY = {"open_hat": ("closed_hat", "open_hat"), "closed_hat": ("closed_hat",)}
"""What a drum is cut short by."""

REWIND_S = 0.25
"""So far back `rewind` goes."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A note-on, or with velocity 0 a note-off, at a frame."""

    frame: int
    pitch: int
    velocity: int
    channel: int = DRUM_CHANNEL


_SILENCE = Hit(0, -1, 0)
"""Fades out whatever sounds."""


class Mixer:
    """Hits in, frames out, from frame `frame` on."""

    rewinds = True

    def __init__(self, kit: Kit, frame: int = 0) -> None:
        self._kit = kit
        self._hits: list[Hit] = []
        self._voices: tuple[_Voice, ...] = ()
        self._frame = frame
        self._before: deque[tuple[int, tuple[_Voice, ...]]] = deque()  # voices at the start of each block of late
        self._struck: deque[Hit] = deque()

    @property
    def frame(self) -> int:
        """The next frame to be rendered."""
        return self._frame

    def add(self, hit: Hit) -> None:
        """Queue a hit. One whose frame has been rendered sounds in the next block."""
        insort(self._hits, hit, key=_frame)

    def silence(self) -> None:
        """Fade out everything from the next frame on, and forget what was to come."""
        self._hits = [_SILENCE]

    def render(self, frames: int) -> Samples:
        """The next frames, (frames, 2), limited softly below 1."""
        mix = np.zeros((frames, 2), np.float32)
        self.render_into(mix)
        return limited(mix)

    def render_into(self, mix: Samples) -> None:
        """Add the next frames, as many as mix has, (frames, 2); not limited."""
        self._before.append((self._frame, self._voices))
        end = self._frame + len(mix)
        while self._hits and self._hits[0].frame < end:
            hit = self._hits.pop(0)
            hit = replace(hit, frame=max(hit.frame, self._frame))
            self._struck.append(hit)
            self._strike(hit, hit.frame)
        for voice in self._voices:
            voice.add_to(mix, self._frame)
        self._voices = tuple(voice for voice in self._voices if not voice.over(end))
        self._frame = end
        oldest = end - round(REWIND_S * self._kit.rate)
        while len(self._before) > 1 and self._before[1][0] <= oldest:
            self._before.popleft()
        while self._struck and self._struck[0].frame < self._before[0][0]:
            self._struck.popleft()

    def rewind(self, frame: int) -> int:
        """Go back to a frame, or as far as it goes, so that it is rendered next; returns it."""
        start, voices = self._frame, self._voices
        while self._before and start > frame:
            start, voices = self._before.pop()
        self._frame, self._voices = start, voices
        while self._struck and self._struck[-1].frame >= start:
            insort(self._hits, self._struck.pop(), key=_frame)
        if start < frame:
            self.render_into(np.zeros((frame - start, 2), np.float32))
        return self._frame

    def skip(self, frame: int) -> None:
        """Go on at a later frame."""
        while self._frame < frame:
            self.render_into(np.zeros((min(4096, frame - self._frame), 2), np.float32))

    def _strike(self, hit: Hit, frame: int) -> None:
        if hit.pitch == _SILENCE.pitch:
            self._voices = tuple(voice.choked_at(frame) for voice in self._voices)
            return
        if hit.channel != DRUM_CHANNEL:
            if hit.velocity:
                self._sound(_Tone(start=frame, rate=self._kit.rate, pitch=hit.pitch, velocity=hit.velocity))
            else:
                self._voices = tuple(voice.released_at(hit.pitch, frame) for voice in self._voices)
            return
        sound = self._kit.sound(hit.pitch)
        if not hit.velocity or sound is None:
            return  # drums ring as long as they ring
        name = DRUMS[DRUM_OF_PITCH[hit.pitch]].name
        self._voices = tuple(
            voice.choked_at(frame) if isinstance(voice, _Drum) and name in CHOKED_BY.get(voice.name, ()) else voice
            for voice in self._voices
        )
        angle = (sound.pan + 1) * np.pi / 4
        sides = np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(np.sqrt(2))
        self._sound(_Drum(start=frame, rate=self._kit.rate, name=name, struck=sound.struck(hit.velocity), sides=sides))

    def _sound(self, voice: _Voice) -> None:
        self._voices = (*self._voices, voice)[-VOICES_MAX:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voice(ABC):
    """Something that sounds from a frame on, until it is over or choked."""

    start: int
    rate: int
    choked: int | None = None

    def choked_at(self, frame: int) -> Self:
        """The same, fading from a frame on."""
        return self if self.choked is not None else replace(self, choked=frame)

    def released_at(self, pitch: int, frame: int) -> Self:
        """The same, with the key of a pitch let go at a frame."""
        del pitch, frame
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
class _Drum(_Voice):
    """struck: its frames; sides: how much of them goes left and right."""

    name: str
    struck: Samples
    sides: Samples

    def over(self, frame: int) -> bool:
        return _Voice.over(self, frame) or frame >= self.start + len(self.struck)

    def samples(self, at: NDArray[np.int64]) -> Samples:
        return self.struck[at[0] : at[-1] + 1, None] * self.sides


RELEASE_S = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tone(_Voice):
    """A plucked voice for pitched parts: three partials, the upper ones dying first. released: counted from start."""

    pitch: int
    velocity: int
    released: int | None = None

    def released_at(self, pitch: int, frame: int) -> Self:
        if pitch != self.pitch or self.released is not None:
            return self
        return replace(self, released=max(0, frame - self.start))

    def over(self, frame: int) -> bool:
        released = self.released is not None and frame >= self.start + self.released + RELEASE_S * self.rate
        return _Voice.over(self, frame) or released or frame >= self.start + 8 * self.rate

    def samples(self, at: NDArray[np.int64]) -> Samples:
        t = at / self.rate
        hz, force = 440.0 * 2 ** ((self.pitch - 69) / 12), self.velocity / 127
        tone = np.zeros(len(t))
        for partial, level, decay_s in ((1, 0.7, 1.6), (2, 0.25 * force, 0.7), (3, 0.12 * force, 0.35)):
            if hz * partial < self.rate / 2:
                tone += level * np.sin(2 * np.pi * hz * partial * t) * np.exp(-t / decay_s)
        envelope = np.minimum(1, t / 0.004) * (0.35 * force**1.5)
        if self.released is not None:
            envelope = envelope * np.clip(1 - (at - self.released) / (RELEASE_S * self.rate), 0, 1)
        mono = (tone * envelope).astype(np.float32)
        return np.repeat(mono[:, None], 2, axis=1)


def _frame(hit: Hit) -> int:
    return hit.frame
