"""Stretching: audio made to last longer or shorter, its pitch and its attacks kept.

Stretching (Signalsmith Stretch) smears what is struck. So audio is cut at its attacks; each of them is laid as it is,
at its own moment to a fraction of a sample, and only what rings between is stretched.
"""

from __future__ import annotations

import itertools

import numpy as np

from engines.audio import Frames
from engines.sinc import SincReader

CONTEXT_S = 0.25
"""What is heard before and after a span when it is stretched: two blocks of the stretcher, so that its edges fit."""

ROUND_S = 0.01
"""How long the end of a stretched loop fades into its beginning."""

HOP_S = 0.002
ATTACK_S = 0.012
"""Of an attack so much is laid as it is; before it, so much is left for the one before to end in:"""

BEFORE_S = 0.0015
SEAM_S = 0.004
ATTACKS_MIN_APART_S = 0.05
SILENCE = 1e-4
RISE = 4.0
"""A sound that within HOP_S grows by this factor, and to a twentieth of the loudest, is an attack."""


def stretched(frames: Frames, start: int, stop: int, wanted: int, rate: int) -> Frames:
    """Frames start to stop of a loop, [n, channels], which goes round, in exactly `wanted` frames of the same pitch.

    As many frames as wanted are handed through untouched. Otherwise the stretcher also hears what lies around the
    span.
    """
    if stop - start == wanted:
        return np.take(frames, np.arange(start, stop), axis=0, mode="wrap")
    made, before = _around(frames, start, stop, wanted, rate)
    return np.ascontiguousarray(made[before : before + wanted])


def stretched_round(frames: Frames, wanted: int, rate: int) -> Frames:
    """A whole loop in `wanted` frames. Its end fades into what came before its beginning, so that it goes round."""
    if len(frames) == wanted:
        return frames
    made, before = _around(frames, 0, len(frames), wanted, rate)
    whole = made[before : before + wanted].copy()
    fade = min(round(ROUND_S * rate), before, wanted)
    rising = np.linspace(0, 1, fade, dtype=np.float32)[:, None]
    whole[-fade:] = whole[-fade:] * (1 - rising) + made[before - fade : before] * rising
    return whole


def _around(frames: Frames, start: int, stop: int, wanted: int, rate: int) -> tuple[Frames, int]:
    """The span stretched with what lies around it, and where in that the span begins."""
    around = round(CONTEXT_S * rate)
    ratio = wanted / (stop - start)
    before = round(around * ratio)
    heard = np.take(frames, np.arange(start - around, stop + around), axis=0, mode="wrap")
    both = np.repeat(heard, 2, axis=1) if heard.shape[1] == 1 else heard
    made = laid(both, around - before / ratio, ratio, before + wanted + before, rate)
    return made[:, : frames.shape[1]], before


def laid(frames: Frames, first: float, ratio: float, count: int, rate: int) -> Frames:
    """(n, 2) frames from position `first` on, each lasting `ratio` frames, in (count, 2); silence where they end.

    Each attack is laid as it is at its own moment, to a fraction of a sample; what rings between is stretched.
    """
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


def attacks_of(frames: Frames, rate: int) -> list[int]:
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
        near = level[first : first + 2 * hop]
        at = first + int(np.argmax(near >= 0.3 * near.max()))  # not where the ringing of a filter leads up to it
        if not found or at - found[-1] > ATTACKS_MIN_APART_S * rate:
            found.append(at)
    return found


def _stretch(ring: Frames, count: int, rate: int) -> Frames:
    """A part of a loop brought to so many frames, its pitch kept."""
    if not len(ring) or count <= 0 or float(np.abs(ring).max()) < SILENCE:
        return np.zeros((max(0, count), 2), np.float32)
    from python_stretch.Signalsmith import Stretch

    machine = Stretch(0)  # the same frames are always the same sound
    machine.preset(2, float(rate))
    machine.timeFactor = len(ring) / count
    done = np.asarray(machine.process(np.ascontiguousarray(ring.T)), np.float32).T
    out = np.zeros((count, 2), np.float32)
    out[: min(count, len(done))] = done[:count]
    return out


def _joined(old: Frames, part: Frames, seam: int) -> Frames:
    """A part laid over the end of the one before it, whose last `seam` frames fade."""
    tail = int(np.flatnonzero(np.abs(old).max(axis=1))[-1]) + 1 if np.abs(old).any() else 0
    joined: Frames = part.copy()
    tail = min(tail, seam)
    if tail:
        fall = np.linspace(1, 0, tail, dtype=np.float32)[:, None]
        joined[:tail] += old[:tail] * fall
    return joined
