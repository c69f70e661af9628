"""Making a loop ready to be played: read, checked, brought to the device's rate, stretched to another tempo."""

from __future__ import annotations

import numpy as np

from bridge.sound.kit import Samples
from bridge.sound.takes import FADE_S, Take, Want
from bridge.timing.timeline import NS_MBPM_PER_TICK
from engines.errors import SidemanError
from engines.music import LoopFile
from engines.sinc import SincReader
from engines.stretch import laid

FRAMES_MAX = 1 << 25
"""A loop of more, at the device's rate, is refused: some minutes."""

PEAK_MAX = 8.0
"""What is louder is brought down to it: no recording, and no fault of ours to pass on."""


def frames_of(ticks: float, tempo_mbpm: int, rate: int) -> float:
    """Ticks in frames at a tempo, with their fraction."""
    return ticks * NS_MBPM_PER_TICK / tempo_mbpm * rate / 1e9


def load_readers() -> None:
    """Load what reads and resamples a file, before there is one that is wanted soon."""
    import soundfile
    import soxr

    del soundfile, soxr


def prepared(want: Want, rate: int) -> Samples:
    """A loop as a Take holds it: (frames, 2) float32 at the device's rate, with FADE_S behind its end to fade out.

    Raises SidemanError for a file that cannot be played.
    """
    frames = _read(want.loop)
    if _joined(want):
        return in_context(frames, want.loop, rate)
    frames = at_rate(frames[want.loop.lead :], want.loop, rate)
    if want.tempo_mbpm != want.loop.tempo_mbpm:
        frames = stretched(frames, want, rate)
    tail = frames[::-1][: round(FADE_S * rate) + 64]
    return np.concatenate([frames, tail])


def take_of(frames: Samples, want: Want, rate: int) -> Take:
    """What was prepared, with where in it the loop begins."""
    loop = want.loop
    if not _joined(want):
        return Take(frames, want.tempo_mbpm, want.from_tick)
    lead = (_around(loop) + loop.lead) * rate / loop.rate
    pace = loop.frames * rate / loop.rate / frames_of(loop.ticks, loop.tempo_mbpm, rate)
    return Take(frames, want.tempo_mbpm, lead=lead, pace=pace)


def in_context(frames: Samples, loop: LoopFile, rate: int) -> Samples:
    """Frames of a loop with its lead at the device's rate: nothing is cut, so that each lies where it lay in time.

    Its end is mirrored, to fade out in; the next loop takes over before a filter would hear of that.
    """
    around = _around(loop)
    padded = np.pad(frames, ((around, around), (0, 0)), mode="reflect")
    if loop.rate == rate:
        return padded
    import soxr

    return np.asarray(soxr.resample(padded, loop.rate, rate, "VHQ"), np.float32)


def _joined(want: Want) -> bool:
    """Whether a loop is to be joined to the one before it; one that is stretched is not."""
    return want.loop.lead > 0 and want.tempo_mbpm == want.loop.tempo_mbpm


def _around(loop: LoopFile) -> int:
    return min(round(FADE_S * loop.rate) + 64, loop.frames + loop.lead - 1)


def at_rate(frames: Samples, loop: LoopFile, rate: int) -> Samples:
    """Frames of a loop's file at the device's rate; untouched where that is the file's."""
    if loop.rate == rate:
        return frames
    import soxr

    # What is before and behind is taken to be the loop again: a filter rings over its edges
    around = min(len(frames), 1024)
    circle = np.concatenate([frames[-around:], frames, frames[:around]])
    whole = np.asarray(soxr.resample(circle, loop.rate, rate, "VHQ"), np.float32)
    first = around * rate / loop.rate
    count = round(len(frames) * rate / loop.rate)
    return SincReader().read(whole, first, 1.0, count)


def stretched(frames: Samples, want: Want, rate: int) -> Samples:
    """A loop's frames from want.from_tick on, at want.tempo_mbpm instead of its own."""
    loop = want.loop
    first = frames_of(want.from_tick, loop.tempo_mbpm, rate)
    count = round(frames_of(loop.ticks - want.from_tick, want.tempo_mbpm, rate))
    return laid(frames, first, loop.tempo_mbpm / want.tempo_mbpm, count, rate)


def _read(loop: LoopFile) -> Samples:
    """The frames of a file, (n, 2). Raises SidemanError."""
    import soundfile

    if not (loop.rate > 0 and loop.ticks > 0 and loop.tempo_mbpm > 0):
        raise SidemanError(f"{loop.path}: its rate, length and tempo say nothing")
    try:
        with soundfile.SoundFile(loop.path) as file:
            if file.channels > 2:
                raise SidemanError(f"{loop.path} has {file.channels} channels; a loop has one or two")
            if file.frames > FRAMES_MAX:
                raise SidemanError(f"{loop.path} is too long for a loop")
            frames = np.asarray(file.read(dtype="float32", always_2d=True))
            rate = file.samplerate
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        raise SidemanError(f"{loop.path} cannot be played: {str(error).splitlines()[0]}") from None
    wanted = loop.lead + loop.frames
    if len(frames) < wanted:
        raise SidemanError(f"{loop.path} is cut short: {len(frames)} of {wanted} frames are there")
    if rate != loop.rate:
        raise SidemanError(f"{loop.path} is at {rate} Hz, not at {loop.rate} as was said")
    frames = frames[:wanted]
    if not np.isfinite(frames).all():
        raise SidemanError(f"{loop.path} holds numbers that are not finite")
    loudest = float(np.abs(frames).max(initial=0.0))
    if loudest > PEAK_MAX:
        frames = frames * np.float32(PEAK_MAX / loudest)
    return np.ascontiguousarray(np.repeat(frames, 2, axis=1) if frames.shape[1] == 1 else frames)
