"""Making a loop ready to be played: read, checked, brought to the device's rate, stretched where the tempo is another.

Stretching (Signalsmith Stretch) smears what is struck. So a loop is cut at its attacks; each of them is laid as it is,
at its own moment to a fraction of a sample, and only what rings between is stretched.
"""

from __future__ import annotations

import itertools

import numpy as np

from bridge.sound.kit import Samples
from bridge.sound.loops import FADE_S, Want
from bridge.sound.sinc import SincReader
from bridge.timing.timeline import NS_MBPM_PER_TICK
from engines.errors import SidemanError
from engines.music import LoopFile

FRAMES_MAX = 1 << 25
"""A loop of more, at the device's rate, is refused: some minutes."""

PEAK_MAX = 8.0
"""What is louder is brought down to it: no recording, and no fault of ours to pass on."""

HOP_S = 0.002
ATTACK_S = 0.012
"""Of an attack so much is laid as it is; before it, so much is left for the one before to end in:"""

BEFORE_S = 0.0015
SEAM_S = 0.004
ATTACKS_MIN_APART_S = 0.05
SILENCE = 1e-4
RISE = 4.0
"""A sound that within HOP_S grows by this factor, and to a twentieth of the loudest, is an attack."""


def frames_of(ticks: float, tempo_mbpm: int, rate: int) -> float:
    """Ticks in frames at a tempo, with their fraction."""
    return ticks * NS_MBPM_PER_TICK / tempo_mbpm * rate / 1e9


def prepared(want: Want, rate: int) -> Samples:
    """A loop as a Take holds it: (frames, 2) float32 at the device's rate, with FADE_S behind its end to fade out.

    Raises SidemanError for a file that cannot be played.
    """
    frames = at_rate(_read(want.loop), want.loop, rate)
    if want.tempo_mbpm != want.loop.tempo_mbpm:
        frames = stretched(frames, want, rate)
    tail = frames[::-1][: round(FADE_S * rate) + 64]
    return np.concatenate([frames, tail])


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
    ratio = loop.tempo_mbpm / want.tempo_mbpm
    first = frames_of(want.from_tick, loop.tempo_mbpm, rate)
    count = round(frames_of(loop.ticks - want.from_tick, want.tempo_mbpm, rate))
    out = np.zeros((count, 2), np.float32)
    begin = int(first)
    attacks = [at for at in attacks_of(frames, rate) if at >= begin]
    edges = sorted({begin, *attacks, len(frames)})
    reader, before, attack = SincReader(), round(BEFORE_S * rate), round(ATTACK_S * rate)
    rise = np.linspace(0, 1, max(1, round(SEAM_S * rate)), endpoint=False, dtype=np.float32)[:, None]
    for at, following in itertools.pairwise(edges):
        struck = at in attacks
        start = (at - first) * ratio - (before if struck else 0)  # where this part begins in `out`
        end = (following - first) * ratio - (before if following < len(frames) else 0) + len(rise)
        to = max(0, int(np.floor(start)))
        size = min(count, round(end)) - to
        if size <= 0:
            continue
        source = at - (before if struck else 0)
        kept = min(size, (before + attack) if struck else 0)
        part = reader.read(frames, source + (to - start), 1.0, size).copy()
        if size > kept:
            ring = frames[source + kept : following]
            part[kept:] = _stretch(ring, size - kept, rate)
            seam = min(len(rise), kept, size - kept)
            if seam:  # from the attack, going on as it is, to the stretched ring
                raw = reader.read(frames, source + (to - start) + kept, 1.0, seam)
                part[kept : kept + seam] = raw + rise[:seam] * (part[kept : kept + seam] - raw)
        if to and len(rise) < size:
            part[: len(rise)] *= rise if not struck else np.minimum(1, rise * len(rise) / max(1, before))
        out[to : to + size] = _joined(out[to : to + size], part, len(rise))
    return out


def attacks_of(frames: Samples, rate: int) -> list[int]:
    """The frames at which something is struck, found by a steep rise of the level."""
    level = np.abs(frames).max(axis=1)
    hop = max(1, round(HOP_S * rate))
    whole = len(level) // hop
    if not whole:
        return []
    peaks = level[: whole * hop].reshape(whole, hop).max(axis=1)
    loudest = float(peaks.max())
    quiet = np.concatenate([[0.0], np.maximum(peaks[:-1], np.concatenate([[0.0], peaks[:-2]]))])
    found: list[int] = []
    for index in np.flatnonzero((peaks > RISE * quiet) & (peaks > loudest / 20)):
        first = int(index) * hop
        threshold = max(float(quiet[index]) * 1.5, float(peaks[index]) / 10)
        at = first + int(np.argmax(level[first : first + hop] >= threshold))
        if not found or at - found[-1] > ATTACKS_MIN_APART_S * rate:
            found.append(at)
    return found


def _stretch(ring: Samples, count: int, rate: int) -> Samples:
    """A part of a loop brought to so many frames, its pitch kept."""
    if not len(ring) or count <= 0 or float(np.abs(ring).max()) < SILENCE:
        return np.zeros((max(0, count), 2), np.float32)
    import python_stretch

    machine = python_stretch.Signalsmith.Stretch()
    machine.preset(2, float(rate))
    machine.timeFactor = len(ring) / count
    done = np.asarray(machine.process(np.ascontiguousarray(ring.T)), np.float32).T
    out = np.zeros((count, 2), np.float32)
    out[: min(count, len(done))] = done[:count]
    return out


def _joined(old: Samples, part: Samples, seam: int) -> Samples:
    """A part laid over the end of the one before it, whose last `seam` frames fade."""
    tail = int(np.flatnonzero(np.abs(old).max(axis=1))[-1]) + 1 if np.abs(old).any() else 0
    joined: Samples = part.copy()
    tail = min(tail, seam)
    if tail:
        fall = np.linspace(1, 0, tail, dtype=np.float32)[:, None]
        joined[:tail] += old[:tail] * fall
    return joined


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
    if len(frames) < loop.frames:
        raise SidemanError(f"{loop.path} is cut short: {len(frames)} of {loop.frames} frames are there")
    if rate != loop.rate:
        raise SidemanError(f"{loop.path} is at {rate} Hz, not at {loop.rate} as was said")
    frames = frames[: loop.frames]
    if not np.isfinite(frames).all():
        raise SidemanError(f"{loop.path} holds numbers that are not finite")
    loudest = float(np.abs(frames).max(initial=0.0))
    if loudest > PEAK_MAX:
        frames = frames * np.float32(PEAK_MAX / loudest)
    return np.ascontiguousarray(np.repeat(frames, 2, axis=1) if frames.shape[1] == 1 else frames)
