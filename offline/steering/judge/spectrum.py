"""Spectra: bands in dB, how far two clips lie apart, and levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDS = 32
LOWEST_HZ, HIGHEST_HZ = 60.0, 8_000.0
WINDOW_S, HOP_S = 0.064, 0.04
FLOOR_DB = -80.0
"""Below it a band is silent; a sine of full scale has 0."""


def bands_db(sound: NDArray[np.float32], rate_hz: int, hop_s: float = HOP_S) -> NDArray[np.float64]:
    """[frames, BANDS] of sound [samples]: the magnitude in bands that are equally wide in mels, in dB."""
    length, hop = round(WINDOW_S * rate_hz), round(hop_s * rate_hz)
    window = np.hanning(length)
    padded = np.pad(sound, (length // 2, length - length // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    found = np.abs(np.fft.rfft(frames * window, axis=1)) * (2.0 / window.sum())
    low, high = (2595.0 * np.log10(1 + hz / 700.0) for hz in (LOWEST_HZ, min(HIGHEST_HZ, rate_hz / 2)))
    edges_hz = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 1) / 2595.0) - 1.0)
    edges = np.round(edges_hz * length / rate_hz).astype(np.int64)
    summed = np.add.reduceat(found**2, edges[:-1], axis=1)
    summed[:, -1] = (found[:, edges[-2] : edges[-1]] ** 2).sum(1)
    return np.asarray(np.maximum(10.0 * np.log10(summed + 1e-30), FLOOR_DB))


def apart_db(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The mean difference of two clips' bands [frames, BANDS] in dB, frame by frame, over the frames both have."""
    frames = min(len(one), len(other))
    return float(np.abs(one[:frames].astype(np.float64) - other[:frames]).mean())


def level_db(sound: NDArray[np.float32]) -> float:
    """Root mean square of sound [samples] in dB of full scale, from -120 on."""
    return float(20.0 * np.log10(max(1e-6, float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))))))
