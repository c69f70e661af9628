"""Pitch: the one note that a stretch of sound is, by its harmonics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STANDS_OUT = 3.0
SIZE = 1 << 17


def pitch(
    audio: NDArray[np.float32], rate_hz: int, *, stands_out: float = STANDS_OUT, size: int = SIZE
) -> float | None:
    """The pitch of audio [N] that is one note, in MIDI semitones; None where nothing stands out.

    The harmonic sum (Hermes 1988) of the compressed spectrum over pitches 28 to 96 in tenths of a semitone.

    stands_out: times the sum's median over all pitches that its best one must have; size: of the transform, >= N
    """
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    if spectrum.max() < 1e-3:
        return None
    strength = np.sqrt(spectrum / spectrum.max())
    pitches = np.arange(280, 961) / 10
    hz = 440.0 * 2.0 ** ((pitches - 69) / 12)
    total = np.zeros(len(pitches))
    for harmonic in range(1, 9):
        at = np.minimum(np.round(hz * harmonic * size / rate_hz).astype(np.int64), len(strength) - 1)
        total += 0.84 ** (harmonic - 1) * np.where(hz * harmonic < rate_hz / 2, strength[at], 0.0)
    return float(pitches[total.argmax()]) if total.max() > stands_out * np.median(total) else None
