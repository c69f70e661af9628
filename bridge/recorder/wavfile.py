"""WAV files: notes played with the built-in kit, rendered as they come; under their name only once they are whole."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

from bridge.recorder.midifile import NoteEvent, Track
from bridge.sound.kit import RATE, Kit
from bridge.sound.mixer import Hit, Mixer
from bridge.timing.timeline import TempoMap

BLOCK_FRAMES = 4096

TAIL_S = 2.5
"""What is left to ring out after the end."""


class WavFile:
    """A 16-bit stereo file in the making. Until `finish` it lies beside its name as .part, playable as far as it is.

    Everything raises OSError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        self._file: wave.Wave_write | None = None
        self._mixer = Mixer(Kit())
        self._hits: list[Hit] = []

    def open(self) -> None:
        """Begin the file."""
        self._file = wave.open(str(self._partial), "wb")  # noqa: SIM115 - it stays open until finish
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)

    def add(self, hits: Iterable[Hit], settled_frame: int) -> None:
        """Take hits, of which none comes any more before settled_frame, and render up to there."""
        self._hits += hits
        self._hits.sort(key=_order)
        settled = [hit for hit in self._hits if hit.frame < settled_frame]
        del self._hits[: len(settled)]
        for hit in settled:
            self._mixer.add(hit)
        while self._mixer.frame + BLOCK_FRAMES <= settled_frame:
            self._render(BLOCK_FRAMES)

    def finish(self, end_frame: int) -> None:
        """Let it ring out after end_frame, and give the file its name."""
        end = end_frame + round(TAIL_S * RATE)
        self.add((), end)
        if self._mixer.frame < end:
            self._render(end - self._mixer.frame)
        self.close()
        self._partial.replace(self._path)

    def close(self) -> None:
        """Close what there is. May be called twice."""
        file, self._file = self._file, None
        if file:
            file.close()

    def _render(self, frames: int) -> None:
        block = self._mixer.render(frames)
        if self._file:
            self._file.writeframes((block * 32767).astype("<i2").tobytes())


def frame_at(tempo_map: TempoMap, tick: int) -> int:
    """The frame that a tick falls on, where tempo_map counts from frame 0."""
    return round(tempo_map.ns_at(tick) * RATE / 1e9)


def hits_of(events: Iterable[NoteEvent], channel: int, tempo_map: TempoMap) -> list[Hit]:
    """Events of a player as hits on their frames."""
    return [Hit(frame_at(tempo_map, event.tick), event.pitch, event.velocity, channel) for event in events]


def write_wav(path: Path, tracks: Iterable[Track], tempo_map: TempoMap, end_tick: int) -> None:
    """Render whole tracks to a file. tempo_map counts nanoseconds from its start. Raises OSError."""
    file = WavFile(path)
    file.open()
    try:
        end = frame_at(tempo_map, end_tick)
        file.add([hit for track in tracks for hit in hits_of(track.events, track.channel, tempo_map)], end)
        file.finish(end)
    finally:
        file.close()


def _order(hit: Hit) -> tuple[int, bool, int, int]:
    return hit.frame, hit.velocity > 0, hit.channel, hit.pitch
