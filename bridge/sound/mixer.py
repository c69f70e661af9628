"""The mixer: notes on sample-exact frames, played with the built-in kit and a plain synth.

The same hits give the same samples, whatever the block size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.sound.kit import RATE, Kit, Samples, Sound
from engines.music import DRUM_OF_PITCH, DRUMS

DRUM_CHANNEL = 10
VOICES_MAX = 48
"""The oldest voice makes room."""

CHOKE_FRAMES = RATE // 100
"""A hat that is closed fades within 10 ms."""

CHOKED_BY = {"open_hat": ("closed_hat", "open_hat"), "closed_hat": ("closed_hat",)}
"""What a drum is cut short by."""

KNEE = 0.7
"""The limiter leaves what is below as it is."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A note-on, or with velocity 0 a note-off, at a frame."""

    frame: int
    pitch: int
    velocity: int
    channel: int = DRUM_CHANNEL


class Mixer:
    """Hits in, frames out. Nothing in `render` waits; one thread may add while another renders."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._hits: deque[Hit] = deque()
        self._voices: deque[_Voice] = deque(maxlen=VOICES_MAX)
        self._frame = 0
        self._silenced = False

    @property
    def frame(self) -> int:
        """The next frame to be rendered."""
        return self._frame

    def add(self, hit: Hit) -> None:
        """Queue a hit; hits come in order. One whose frame has passed sounds in the next block."""
        self._hits.append(hit)

    def silence(self) -> None:
        """Fade out everything from the next block on, and forget what was to come."""
        self._hits.clear()
        self._silenced = True

    def render(self, frames: int) -> Samples:
        """The next frames, (frames, 2), limited softly below 1."""
        mix = np.zeros((frames, 2), np.float32)
        end = self._frame + frames
        if self._silenced:
            self._silenced = False
            for voice in self._voices:
                voice.choke(self._frame)
        while self._hits and self._hits[0].frame < end:
            hit = self._hits.popleft()
            self._strike(hit, max(hit.frame, self._frame))
        for voice in self._voices:
            voice.add_to(mix, self._frame)
        self._frame = end
        self._voices = deque((voice for voice in self._voices if not voice.over(end)), maxlen=VOICES_MAX)
        return limited(mix)

    def _strike(self, hit: Hit, frame: int) -> None:
        if hit.channel != DRUM_CHANNEL:
            if hit.velocity:
                self._voices.append(_Tone(frame, hit.pitch, hit.velocity))
            else:
                for voice in self._voices:
                    if isinstance(voice, _Tone) and voice.pitch == hit.pitch:
                        voice.release(frame)
            return
        sound = self._kit.sound(hit.pitch)
        if not hit.velocity or sound is None:
            return  # drums ring as long as they ring
        name = DRUMS[DRUM_OF_PITCH[hit.pitch]].name
        for voice in self._voices:
            if isinstance(voice, _Drum) and name in CHOKED_BY.get(voice.name, ()):
                voice.choke(frame)
        self._voices.append(_Drum(frame, name, sound, hit.velocity))


class _Voice(ABC):
    """Something that sounds from a frame on."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._choked: int | None = None

    def choke(self, frame: int) -> None:
        """Fade from a frame on."""
        if self._choked is None:
            self._choked = frame

    def over(self, frame: int) -> bool:
        """Whether nothing of it is left at a frame."""
        return self._choked is not None and frame >= self._choked + CHOKE_FRAMES

    def add_to(self, mix: Samples, frame: int) -> None:
        """Add what falls into a block that begins at a frame."""
        first = max(0, self._start - frame)
        if first >= len(mix):
            return
        at = np.arange(frame + first, frame + len(mix))
        part = self.samples(at - self._start)
        if self._choked is not None:
            fade = np.clip(1 - (at - self._choked) / CHOKE_FRAMES, 0, 1).astype(np.float32)
            part = part * fade[: len(part), None]
        mix[first : first + len(part)] += part

    @abstractmethod
    def samples(self, at: NDArray[np.int64]) -> Samples:
        """Its frames by their number from its start, (frames, 2)."""


class _Drum(_Voice):
    def __init__(self, start: int, name: str, sound: Sound, velocity: int) -> None:
        super().__init__(start)
        self.name = name
        self._samples = sound.struck(velocity)
        angle = (sound.pan + 1) * np.pi / 4
        self._sides = np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(np.sqrt(2))

    def over(self, frame: int) -> bool:
        return super().over(frame) or frame >= self._start + len(self._samples)

    def samples(self, at: NDArray[np.int64]) -> Samples:
        return self._samples[at[0] : at[-1] + 1, None] * self._sides


class _Tone(_Voice):
    """A plucked voice for pitched parts: three partials, the upper ones dying first."""

    RELEASE_S = 0.12

    def __init__(self, start: int, pitch: int, velocity: int) -> None:
        super().__init__(start)
        self.pitch = pitch
        self._hz = 440.0 * 2 ** ((pitch - 69) / 12)
        self._force = velocity / 127
        self._released: int | None = None

    def release(self, frame: int) -> None:
        """The key is let go."""
        if self._released is None:
            self._released = max(0, frame - self._start)

    def over(self, frame: int) -> bool:
        released = self._released is not None and frame >= self._start + self._released + self.RELEASE_S * RATE
        return super().over(frame) or released or frame >= self._start + 8 * RATE

    def samples(self, at: NDArray[np.int64]) -> Samples:
        t = at / RATE
        tone = np.zeros(len(t))
        for partial, level, decay_s in ((1, 0.7, 1.6), (2, 0.25 * self._force, 0.7), (3, 0.12 * self._force, 0.35)):
            if self._hz * partial < RATE / 2:
                tone += level * np.sin(2 * np.pi * self._hz * partial * t) * np.exp(-t / decay_s)
        envelope = np.minimum(1, t / 0.004) * (0.35 * self._force**1.5)
        if self._released is not None:
            envelope = envelope * np.clip(1 - (at - self._released) / (self.RELEASE_S * RATE), 0, 1)
        mono = (tone * envelope).astype(np.float32)
        return np.repeat(mono[:, None], 2, axis=1)


def limited(mix: Samples) -> Samples:
    """Samples up to KNEE as they are, above bent so that none passes 1. Each by itself: no block is heard."""
    over = np.abs(mix) - KNEE
    if not (over > 0).any():
        return mix
    bent = np.float32(KNEE) + np.float32(1 - KNEE) * np.tanh(over / (1 - KNEE))
    return np.where(over > 0, np.sign(mix) * bent, mix).astype(np.float32)
