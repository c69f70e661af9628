"""The judge of tempo: how far apart onsets lie, by the autocorrelation of how fast the spectrum grows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offline.steering.judge.spectrum import bands_db

HOP_S = 0.01
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0
PULSE = 7.0
"""Of the autocorrelation at its best peak, over the root of the frames: less is no pulse. Noise has up to 6.4."""
NEAREST = 0.75
"""Of the best peak: the first peak that has so much is the beat; a bar's would be higher, but longer."""
RANGE_DB = 60.0
"""Below the loudest band nothing is an onset."""


def tempo_of(sound: NDArray[np.float32], rate_hz: int) -> float | None:
    """Beats a minute of a clip [samples] of 2 s or more; None where there is no pulse."""
    again = autocorrelation(sound, rate_hz)
    first, last = round(60 / FASTEST_BPM / HOP_S), round(60 / SLOWEST_BPM / HOP_S)
    last = min(last, len(again) * 2 // 3)
    peaks = [at for at in range(first, last) if again[at] >= max(again[at - 1], again[at + 1])]
    best = max((again[at] for at in peaks), default=0.0)
    if best * len(again) ** 0.5 < PULSE:
        return None
    return 60 / (_period(again, next(at for at in peaks if again[at] >= NEAREST * best)) * HOP_S)


def autocorrelation(sound: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """[lags of 10 ms] of the onset strength of a clip [samples], 1 at lag 0; zeros where nothing begins."""
    strength = onsets(sound, rate_hz)
    strength = strength - strength.mean()
    power = float((strength**2).sum())
    if power < 1e-9:
        return np.zeros(len(strength))
    count = len(strength)
    found = np.fft.irfft(np.abs(np.fft.rfft(strength, 2 * count)) ** 2)[:count]
    return np.asarray(found / power / (1 - np.arange(count) / count))


def onsets(sound: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """[frames of 10 ms]: by how many dB the bands of the spectrum grow, together; smoothed over 50 ms."""
    heard = bands_db(sound, rate_hz, HOP_S)
    grown = np.maximum(np.diff(np.maximum(heard, heard.max() - RANGE_DB), axis=0), 0.0).sum(1)
    smooth = np.hanning(7)
    return np.asarray(np.convolve(grown, smooth / smooth.sum(), "same"))


def _period(again: NDArray[np.float64], beat: int) -> float:
    """A peak's lag, sharpened by the peaks at its multiples as far as they are there."""
    period, times = _summit(again, beat), 1
    while True:
        near = round(period * (times + 1))
        if near + 4 > 0.7 * len(again):
            return period
        at = near - 3 + int(again[near - 3 : near + 4].argmax())
        if again[at] < 0.5 * again[beat]:
            return period
        times += 1
        period = _summit(again, at) / times


def _summit(again: NDArray[np.float64], at: int) -> float:
    """Where a parabola through a peak and its neighbours is highest."""
    before, here, after = again[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(at + (0.5 * (before - after) / bend if bend < 0 else 0.0))
