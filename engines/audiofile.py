"""Audio files as loops: read and checked, with the tempo that they, or their names, say."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.audio import CHANNELS_MAX, RATE_MIN, Frames, frames_in
from engines.errors import SidemanError
from engines.music import STEP_TICKS, TICKS_PER_BEAT

ENDINGS = (".wav", ".ogg", ".flac")

SECONDS_MIN, SECONDS_MAX = 0.05, 120.0
RATE_PLAYED_MAX = 96_000
"""Files above it are brought down by halves: nothing is heard of what they have more."""

SILENCE = 1e-5
"""-100 dB: a file whose highest peak is below is taken to be silent."""

TEMPO_LOW, TEMPO_HIGH = 20.0, 999.0
GUESSED_FROM_BPM = 85.0
"""A file that does not say its tempo is taken to have whole bars, halved or doubled until they are in 85 to 170 bpm."""

WHOLE_S = 0.0015
"""A file that misses a whole number of sixteenths by no more than this holds exactly so many."""

CHUNKS_MAX = 256
UNTOLD = (0, 0xFFFFFFFF)
"""Sizes of a data chunk that was written into a pipe."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that can be played as a loop, at the rate at which it is read.

    tempo_bpm: what the file or its name says, 0 if neither does; bars: what its name says, 0 if it does not
    notice: a line for people, if its tempo had to be guessed, or its rate brought down
    """

    path: Path
    rate: int
    seconds: float
    tempo_bpm: float
    bars: int
    notice: str = ""

    def span(self, tempo_bpm: float = 0.0) -> tuple[float, int]:
        """Its tempo in bpm and its length in ticks; a tempo other than 0 is taken instead of its own."""
        tempo = tempo_bpm or self.tempo_bpm
        if not tempo:
            beats = self.bars * 4 or _guessed_beats(self.seconds)
            return beats * 60 / self.seconds, beats * TICKS_PER_BEAT
        steps = self.seconds * tempo * 4 / 60
        if abs(steps - round(steps)) * 15 / tempo <= WHOLE_S:
            return tempo, max(1, round(steps)) * STEP_TICKS
        return tempo, max(1, round(steps / 4)) * TICKS_PER_BEAT

    def frames(self, tempo_bpm: float = 0.0) -> Frames:
        """Its frames, (n, channels), of exactly its span: what rings on after it is cut, what is missing is silent.

        Raises SidemanError if it cannot be read any more.
        """
        frames, *_ = _read(self.path)
        tempo, ticks = self.span(tempo_bpm)
        wanted = frames_in(ticks, tempo, self.rate)
        return np.pad(frames[:wanted], ((0, max(0, wanted - len(frames))), (0, 0)))


def open_audio(path: Path) -> AudioFile:
    """Look through a file. Raises SidemanError, with one line that names it, if it cannot be played."""
    frames, rate, own_rate = _read(path)
    seconds = len(frames) / rate
    if seconds < SECONDS_MIN:
        raise SidemanError(f"{path.name} is too short for a loop: {seconds * 1000:.0f} ms")
    if not np.isfinite(frames).all():
        raise SidemanError(f"{path.name} holds numbers that are not finite; export it again")
    if np.abs(frames).max() < SILENCE:
        raise SidemanError(f"{path.name} is silent")
    tempo = _tempo_told(path)
    named_bars = re.search(r"(?<!\d)(\d{1,3})[ _-]?bars?(?![a-z])", path.stem, re.IGNORECASE)
    bars = int(named_bars[1]) if named_bars else 0
    notice = "" if rate == own_rate else f"{path.name} is at {own_rate} Hz: it is played at {rate} Hz"
    if not tempo and not bars:
        beats = _guessed_beats(seconds)
        told = f"{path.name} does not say its tempo: taken as {beats} beats at {beats * 60 / seconds:.1f} bpm; "
        notice = told + "put it into the name, like _120bpm"
    return AudioFile(path, rate, seconds, tempo, bars, notice)


def _read(path: Path) -> tuple[Frames, int, int]:
    """All frames, their rate, at most RATE_PLAYED_MAX, and the file's own."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, total = int(file.samplerate), int(file.channels), int(file.frames)
            if not 1 <= channels <= CHANNELS_MAX:
                raise SidemanError(f"{path.name} has {channels} channels; one or two can be played")
            if not rate >= RATE_MIN:
                raise SidemanError(f"{path.name} is at {rate} Hz; from {RATE_MIN} Hz on a file can be played")
            if total > SECONDS_MAX * rate:
                raise SidemanError(f"{path.name} is longer than {SECONDS_MAX:g} s; cut it to a loop")
            frames: Frames = file.read(dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # libsndfile's own is a RuntimeError
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise SidemanError(f"{path.name} cannot be read: {reason}") from error
    if len(frames) < total or _cut_short(path):
        raise SidemanError(f"{path.name} is cut short; copy or export it again")
    halves = 0
    while rate >> halves > RATE_PLAYED_MAX:
        halves += 1
    if halves:
        import soxr

        frames = np.asarray(soxr.resample(frames, rate, rate >> halves), np.float32)
    return frames, rate >> halves, rate


def _tempo_told(path: Path) -> float:
    """Beats a minute by a WAV's acid chunk or by the file's name; 0.0 if neither says, or not a playable one."""
    named = re.search(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)[ _-]?bpm", path.stem, re.IGNORECASE)
    for tempo in (_chunks(path).get(b"acid", 0.0), float(named[1]) if named else 0.0):
        if TEMPO_LOW <= tempo <= TEMPO_HIGH:
            return tempo
    return 0.0


def _cut_short(path: Path) -> bool:
    """Whether a WAV ends before its data chunk does; libsndfile plays what is there."""
    return bool(_chunks(path).get(b"data", 0.0))


def _chunks(path: Path) -> dict[bytes, float]:
    """What matters of a WAV's chunks: acid's tempo, and how many bytes data lacks. Nothing of other files."""
    found: dict[bytes, float] = {}
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return found
        for _ in range(CHUNKS_MAX):
            head = file.read(8)
            if len(head) < 8:
                break
            name, length = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"acid" and length >= 24:
                found[name] = _acid_tempo(file)
            elif name == b"data":
                found[name] = 0.0 if length in UNTOLD else float(max(0, file.tell() + length - size))
            file.seek(length + length % 2 - (24 if name == b"acid" and length >= 24 else 0), 1)
    return found


def _acid_tempo(file: BinaryIO) -> float:
    """The float at the end of an acid chunk's 24 bytes (see bridge/files/loopwav.py)."""
    data = file.read(24)
    tempo: float = struct.unpack("<f", data[20:24])[0] if len(data) == 24 else 0.0
    return round(tempo, 3)


def _guessed_beats(seconds: float) -> int:
    beats = 4
    while beats * 60 / seconds < GUESSED_FROM_BPM:
        beats *= 2
    while beats > 1 and beats * 60 / seconds >= 2 * GUESSED_FROM_BPM:
        beats //= 2
    return beats
