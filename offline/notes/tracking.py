"""Tracking: the beats of music that was played to no grid.

Dynamic programming over an envelope of onsets (Ellis 2007, "Beat tracking by dynamic programming"), twice: around the
piece's tempo, then around the tempo near each beat, which is how it follows a player who breathes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.music import TICKS_PER_BEAT
from offline.notes.reading import Reading

FRAMES = 100
"""Frames of the envelope a second."""
TEMPO_BPM = 100.0
"""Where the prior of tempi is highest; it is normal over octaves (Ellis 2007)."""
TEMPO_OCTAVES = 0.7
"""Its deviation."""
SLOWEST_BPM, FASTEST_BPM = 40.0, 220.0
TIGHTNESS = 100.0
"""What an unsteady beat costs, against the envelope (Ellis 2007)."""
MAX_SECONDS = 2 * 3600


def tracked(reading: Reading) -> Reading:
    """The reading in ticks of the beats found in it, whose tempi are those of the beats.

    Notes before the first beat found and after the last keep the nearest tempo.
    """
    beats = beat_times(reading)
    seconds = reading.seconds(reading.ticks)
    ends = reading.seconds(reading.ticks + reading.length)
    first = int(np.ceil((beats[0] - min(seconds[0], beats[0])) / (beats[1] - beats[0])))
    at = (np.arange(len(beats)) + first) * TICKS_PER_BEAT
    ticks = np.maximum(np.rint(_ticks(seconds, beats, at)), 0).astype(np.int64)
    stops = np.rint(_ticks(ends, beats, at)).astype(np.int64)
    us = np.rint(np.diff(beats) * 1e6).astype(int)
    tempi = {0: int(us[0])} | {int(tick): int(own) for tick, own in zip(at[:-1], us, strict=True) if tick}
    return replace(
        reading, ticks=ticks, length=np.maximum(stops - ticks, 1), tempi=tuple(tempi.items()), has_tempo=True
    )


def _ticks(seconds: NDArray[np.float64], beats: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    inside = np.interp(seconds, beats, at.astype(np.float64))
    before = np.minimum(seconds - beats[0], 0) / (beats[1] - beats[0]) * TICKS_PER_BEAT
    after = np.maximum(seconds - beats[-1], 0) / (beats[-1] - beats[-2]) * TICKS_PER_BEAT
    ticks: NDArray[np.float64] = inside + before + after
    return ticks


def beat_times(reading: Reading) -> NDArray[np.float64]:
    """[N >= 2] seconds of the beats, evenly going on where nothing sounds."""
    envelope = _envelope(reading)
    period = _period(envelope)
    beats = _beats(envelope, np.full(len(envelope), period))
    if len(beats) > 8:
        near = np.convolve(np.pad(np.diff(beats), 4, "edge"), np.full(9, 1 / 9), "valid")
        beats = _beats(envelope, np.interp(np.arange(len(envelope)), beats[:-1], near))
    if len(beats) < 2:
        return np.array([0.0, period]) / FRAMES
    return np.asarray(beats, np.float64) / FRAMES


def _envelope(reading: Reading) -> NDArray[np.float64]:
    """[T] how much begins in each frame: louder, lower and longer notes count more."""
    seconds = reading.seconds(reading.ticks)
    kept = seconds < MAX_SECONDS
    frame = np.rint(seconds[kept] * FRAMES).astype(np.int64)
    length_s = (reading.seconds(reading.ticks + reading.length) - seconds)[kept]
    weight = (reading.velocity[kept] / 64.0) * (1 + np.clip(60 - reading.pitch[kept], 0, 24) / 24)
    weight *= 1 + np.clip(length_s, 0, 1)
    raw = np.bincount(frame, weight, minlength=int(frame.max(initial=0)) + 2 * FRAMES)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    smooth = np.convolve(np.sqrt(raw), kernel, "same")
    envelope: NDArray[np.float64] = smooth / max(float(smooth.std()), 1e-9)
    return envelope


def _period(envelope: NDArray[np.float64]) -> float:
    """The beat's length in frames: the best of the autocorrelation with its double and triple, under the prior."""
    size = 1 << int(np.ceil(np.log2(2 * len(envelope))))
    centred = envelope - envelope.mean()
    spectrum = np.fft.rfft(centred, size)
    lags = np.fft.irfft(spectrum * spectrum.conj(), size)[: len(envelope)]
    shortest, longest = int(60 * FRAMES / FASTEST_BPM), int(60 * FRAMES / SLOWEST_BPM)
    at = np.arange(shortest, longest + 1)
    prior = np.exp(-0.5 * (np.log2(at / (60 * FRAMES / TEMPO_BPM)) / TEMPO_OCTAVES) ** 2)
    multiple = np.zeros(3 * longest + 2)
    multiple[: min(len(lags), len(multiple))] = lags[: len(multiple)]
    strength = (
        np.maximum(multiple[at], 0) + 0.5 * np.maximum(multiple[2 * at], 0) + 0.33 * np.maximum(multiple[3 * at], 0)
    )
    return float(at[(strength * prior).argmax()])


def _beats(envelope: NDArray[np.float64], period: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frames of the beats; `period` is the expected number of frames between them, at each frame."""
    total = len(envelope)
    score = envelope.copy()
    came = np.full(total, -1, np.int64)
    for t in range(total):
        shortest, longest = round(period[t] / 2), round(period[t] * 2)
        if t < shortest:
            continue
        before = np.arange(max(0, t - longest), t - shortest + 1)
        scores = score[before] - TIGHTNESS * np.log((t - before) / period[t]) ** 2
        best = int(scores.argmax())
        if scores[best] > 0:
            score[t] += scores[best]
            came[t] = before[best]
    tail = np.arange(max(0, total - int(2 * period[-1])), total)
    t = int(tail[score[tail].argmax()])
    beats = [t]
    while came[t] >= 0:
        t = int(came[t])
        beats.append(t)
    return np.array(beats[::-1], np.int64)
