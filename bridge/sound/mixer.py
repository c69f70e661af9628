"""The mixer: notes on sample-exact frames, played with the built-in kit and a plain synth.

The same hits give the same samples, whatever the block size. As voices are values (bridge/sound/voices.py), what has
been rendered ahead can be taken back (`rewind`) when a note comes that belongs there.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bridge.sound.kit import RATE, Kit, Samples
from bridge.sound.limiter import limited
from bridge.sound.timbres import Timbres
from bridge.sound.voices import Drum, Tone, Voice
from engines.music import DRUM_OF_PITCH, DRUMS
from engines.notes.roles import PROGRAMS

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
    """Hits in, frames out, from frame `frame` on. programs: General MIDI's by channel 1-16."""

    rewinds = True

    def __init__(self, kit: Kit, frame: int = 0, programs: Mapping[int, int] = PROGRAMS) -> None:
        self._kit = kit
        self._timbres = Timbres(kit.rate, programs)
        self._hits: list[Hit] = []
        self._voices: tuple[Voice, ...] = ()
        self._frame = frame
        self._before: deque[tuple[int, tuple[Voice, ...]]] = deque()  # voices at the start of each block of late
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
                self._sound(self._tone(hit, frame))
            else:
                self._voices = tuple(voice.released_at(hit.channel, hit.pitch, frame) for voice in self._voices)
            return
        sound = self._kit.sound(hit.pitch)
        if not hit.velocity or sound is None:
            return  # drums ring as long as they ring
        name = DRUMS[DRUM_OF_PITCH[hit.pitch]].name
        self._voices = tuple(
            voice.choked_at(frame) if isinstance(voice, Drum) and name in CHOKED_BY.get(voice.name, ()) else voice
            for voice in self._voices
        )
        angle = (sound.pan + 1) * np.pi / 4
        sides = np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(np.sqrt(2))
        self._sound(Drum(start=frame, rate=self._kit.rate, name=name, struck=sound.struck(hit.velocity), sides=sides))

    def _tone(self, hit: Hit, frame: int) -> Tone:
        timbre = self._timbres.of(hit.channel)
        body, edge = (self._timbres.wave(partials, hit.pitch) for partials in (timbre.body, timbre.edge))
        return Tone(
            start=frame, rate=self._kit.rate, channel=hit.channel, pitch=hit.pitch, velocity=hit.velocity,
            timbre=timbre, body=body, edge=edge,
        )  # fmt: skip

    def _sound(self, voice: Voice) -> None:
        self._voices = (*self._voices, voice)[-VOICES_MAX:]


def _frame(hit: Hit) -> int:
    return hit.frame
