"""The judge of notes and chords: two estimators that share nothing must agree, or nothing is said.

One is Basic Pitch, a network; the other sums harmonics of the spectrum. What they are asked is the pitch class that a
clip is mostly of, or the quality of its chord, whatever its root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offline.data.pitch import pitch
from offline.steering.judge.basicpitch import LOWEST, PITCHES, Posteriors

Sound = NDArray[np.float32]

NOBODY = -1
"""No class: the judge abstains."""

SOUNDS = 0.3
"""Of Basic Pitch's posteriors, its own threshold of frames; of white noise none is above it."""
VOICED = 0.25
"""Of a clip's frames, or stretches, in which a note must be found."""
MOSTLY = 0.4
"""Of all that sounds in a clip, what its one note must have."""
STRETCH_S = 0.5
STANDS_OUT = 4.0
"""Of the harmonic sum over its median: of real notes 95 % have 5 and more, behind a small codec less; noise up to 4.2,
in which Basic Pitch finds nothing."""

CHORDS = ("maj", "min", "aug", "dim")
_SHAPES = {"maj": (0, 4, 7), "min": (0, 3, 7), "aug": (0, 4, 8), "dim": (0, 3, 6)}
FITS, MARGIN = 0.6, 0.03
"""A chord's correlation with its template, and how much better than that of any other quality."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is said of a clip: a class, or NOBODY.

    basic, harmonic: each alone; voiced: share of the frames in which Basic Pitch finds a note at all
    """

    basic: int
    harmonic: int
    voiced: float

    @property
    def named(self) -> int:
        """What both say."""
        return self.basic if self.basic == self.harmonic else NOBODY


def note_of(sound: Sound, rate_hz: int, posteriors: Posteriors) -> Opinion:
    """The class (0 is C) of the note that a clip [samples] mostly is."""
    profile, voiced = basic_profile(posteriors)
    basic = int(profile.argmax())
    if voiced < VOICED or profile[basic] < MOSTLY * profile.sum():
        basic = NOBODY
    votes, stretches = np.zeros(12), _stretches(sound, rate_hz)
    size = 1 << int(np.ceil(np.log2(max(stretches.shape[1], rate_hz * 2))))
    for stretch in stretches:
        found = pitch(stretch, rate_hz, stands_out=STANDS_OUT, size=size)
        if found is not None:
            votes[round(found) % 12] += 1
    harmonic = int(votes.argmax())
    if votes.sum() < VOICED * len(stretches) or votes[harmonic] <= MOSTLY * votes.sum():
        harmonic = NOBODY
    return Opinion(basic, harmonic, voiced)


def chord_of(sound: Sound, rate_hz: int, posteriors: Posteriors) -> Opinion:
    """The quality (of CHORDS) of the chord that a clip [samples] mostly is, whatever its root."""
    profile, voiced = basic_profile(posteriors)
    basic = quality(profile) if voiced >= VOICED else NOBODY
    return Opinion(basic, quality(spectrum_profile(sound, rate_hz)), voiced)


def basic_profile(posteriors: Posteriors) -> tuple[NDArray[np.float64], float]:
    """[12]: how much each pitch class sounds, and the share of the frames in which one does."""
    sounding = np.where(posteriors > SOUNDS, posteriors, 0.0)
    classes = (LOWEST + np.arange(PITCHES)) % 12
    profile = np.bincount(classes, sounding.sum(0).astype(np.float64), minlength=12).astype(np.float64)
    return profile, float(sounding.any(axis=1).mean())


def spectrum_profile(sound: Sound, rate_hz: int) -> NDArray[np.float64]:
    """[12]: how much of the spectrum lies at each pitch class between C3 and B6.

    The third harmonic of a note falls on its fifth: of each class a third is taken from the class a fifth above.
    """
    size = rate_hz * 2
    stretches = _stretches(sound, rate_hz)
    spectrum = np.sqrt(np.abs(np.fft.rfft(stretches * np.hanning(stretches.shape[1]), size, axis=1))).mean(0)
    found = np.zeros(12)
    for key in range(48, 96):
        low, high = (440.0 * 2.0 ** ((key + edge - 69) / 12) * size / rate_hz for edge in (-0.3, 0.3))
        found[key % 12] += spectrum[int(low) : int(high) + 2].max(initial=0.0) ** 2
    return np.maximum(found - np.roll(found, 7) / 3, 0.0)


def quality(profile: NDArray[np.float64]) -> int:
    """Of CHORDS, that whose template, on any root, a profile [12] is most like; NOBODY where none is clearly."""
    if profile.std() == 0.0:
        return NOBODY
    best = []
    for name in CHORDS:
        template = np.zeros(12)
        template[list(_SHAPES[name])] = 1.0
        best.append(max(float(np.corrcoef(profile, np.roll(template, root))[0, 1]) for root in range(12)))
    order = np.argsort(best)[::-1]
    sure = best[order[0]] >= FITS and best[order[0]] - best[order[1]] >= MARGIN
    return int(order[0]) if sure else NOBODY


def _stretches(sound: Sound, rate_hz: int) -> NDArray[np.float32]:
    """[n, samples] of half a second each; one where the sound is shorter."""
    length = min(len(sound), round(STRETCH_S * rate_hz))
    count = max(1, len(sound) // max(1, length))
    return sound[: count * length].reshape(count, length)
