"""Harmony: which chord a bar spells, by matching templates to its pitch classes.

Fujishima 1999 ("Realtime chord recognition of musical sound"), on notes instead of audio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROOTS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus4": (0, 5, 7),
}
"""Semitones above the root of each kind of chord."""

ROOT_BONUS = 0.1
"""Of a perfect match, for a chord whose root is the bass note: C6 over A is A minor 7."""


def _templates() -> NDArray[np.float64]:
    """[12 * len(QUALITIES), 12] of unit length; row root * len(QUALITIES) + quality."""
    rows = np.zeros((12, len(QUALITIES), 12))
    for root in range(12):
        for i, tones in enumerate(QUALITIES.values()):
            rows[root, i, [(root + tone) % 12 for tone in tones]] = 1.0 / np.sqrt(len(tones))
    return rows.reshape(-1, 12)


_TEMPLATES = _templates()


def best_chords(chroma: NDArray[np.float64], bass: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The likeliest chord of each row: root 0-11 and index in QUALITIES, or -1 and -1 where nothing sounds.

    chroma: [B, 12] how long each pitch class sounds; bass: [B] pitch class of the lowest note, or -1
    """
    length = np.linalg.norm(chroma, axis=1, keepdims=True)
    score = (chroma / np.maximum(length, 1e-9)) @ _TEMPLATES.T
    roots = np.repeat(np.arange(12), len(QUALITIES))
    score += ROOT_BONUS * (roots[None, :] == bass[:, None])
    best = score.argmax(1)
    silent = length[:, 0] == 0.0
    return np.where(silent, -1, best // len(QUALITIES)), np.where(silent, -1, best % len(QUALITIES))
