"""WAV files that grow: playable as far as they are at any moment, and under their name only once they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import wave
from collections.abc import Iterable
from pathlib import Path

from bridge.recorder.loops import LoopStart
from bridge.recorder.midifile import Track
from bridge.recorder.sounding import Sounding, frame_at, hits_of
from bridge.sound.kit import RATE, Samples
from bridge.timing.timeline import TempoMap

BLOCK_FRAMES = 4096
FRAME_BYTES = 4
DATA_BYTES_MAX = (1 << 32) - (1 << 16)
"""What a WAV can hold: six hours."""

TAIL_S = 2.5
"""What is left to ring out after the end."""


class WavFile:
    """A 16-bit stereo file in the making. Until `finish` it lies beside its name, take.part.wav for take.wav.

    Its header is put right with each block, so that a crash leaves a file that any player plays.
    Everything raises OSError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.stem}.part{path.suffix}")
        self._file: wave.Wave_write | None = None
        self._bytes = 0

    def open(self) -> None:
        """Begin the file."""
        self._file = wave.open(str(self._partial), "wb")  # noqa: SIM115 - it stays open until finish
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)

    def write(self, block: Samples) -> None:
        """Add frames, (n, 2), -1 to 1."""
        if self._file is None:
            return
        self._bytes += len(block) * FRAME_BYTES
        if self._bytes > DATA_BYTES_MAX:
            raise OSError(errno.EFBIG, "a WAV holds six hours")
        self._file.writeframes((block * 32767).astype("<i2").tobytes())

    def finish(self) -> None:
        """Give the file its name."""
        self.close()
        self._partial.replace(self._path)

    def keep(self) -> None:
        """It cannot be written any more: give its name to what there is, cut to whole frames."""
        file, self._file = self._file, None
        if file is None:
            return
        with contextlib.suppress(OSError, wave.Error):
            file.close()
        with contextlib.suppress(OSError):
            _put_right(self._partial)
            self._partial.replace(self._path)

    def close(self) -> None:
        """Close what there is. May be called twice."""
        file, self._file = self._file, None
        if file:
            file.close()


class GrowingSound:
    """A sound file that is rendered as the music comes."""

    def __init__(self, path: Path) -> None:
        self.sounding = Sounding()
        self.file = WavFile(path)

    def settle(self, frame: int) -> None:
        """Render whole blocks up to a frame, before which nothing changes any more."""
        while self.sounding.frame + BLOCK_FRAMES <= frame:
            self.file.write(self.sounding.render(BLOCK_FRAMES))

    def finish(self, end_frame: int) -> None:
        """Let it ring out after end_frame, and make the file whole."""
        end = end_frame + round(TAIL_S * RATE)
        self.settle(end)
        if self.sounding.frame < end:
            self.file.write(self.sounding.render(end - self.sounding.frame))
        self.file.finish()


def write_wav(
    path: Path, tracks: Iterable[Track], tempo_map: TempoMap, end_tick: int, loops: Iterable[LoopStart] = ()
) -> None:
    """Render whole tracks, and loops in the order of their ticks, to a file. Raises OSError.

    tempo_map counts nanoseconds from the file's start.
    """
    growing = GrowingSound(path)
    growing.file.open()
    try:
        growing.sounding.add(hit for track in tracks for hit in hits_of(track, tempo_map))
        for start in loops:
            growing.settle(frame_at(tempo_map, start.tick))
            growing.sounding.loop(start, tempo_map)
        growing.finish(frame_at(tempo_map, end_tick))
    finally:
        growing.file.close()


def _put_right(path: Path) -> None:
    """Have the header of a file say how much there is."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        data = (size - 44) // FRAME_BYTES * FRAME_BYTES
        if data < 0:
            raise OSError(errno.ENOSPC, "not even a header")
        file.truncate(44 + data)
        for at, value in ((4, 36 + data), (40, data)):
            file.seek(at)
            file.write(value.to_bytes(4, "little"))
