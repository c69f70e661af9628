"""Scales and chords by name, as a performer asks for them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engines.music import Note
from engines.notes.harmony import QUALITIES, ROOTS, best_chords

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic_minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major_pentatonic": (0, 2, 4, 7, 9),
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole_tone": (0, 2, 4, 6, 8, 10),
    "diminished": (0, 2, 3, 5, 6, 8, 9, 11),
}
"""Semitones above the root."""

_SUFFIXES = {"maj": "", "min": "m", "min7": "m7"}

CHORDS: dict[str, tuple[int, int]] = {
    root + _SUFFIXES.get(quality, quality): (r, q)
    for r, root in enumerate(ROOTS)
    for q, quality in enumerate(QUALITIES)
}
"""C, Cm, C7, Cmaj7, Cm7, Cdim, Caug, Csus4, Db ...: root 0-11 and index in QUALITIES."""

_TONES = tuple(QUALITIES.values())


def scale_classes(scale: str, root: str) -> NDArray[np.bool_]:
    """The pitch classes of a scale, bool [12] from C."""
    return _classes(ROOTS.index(root), SCALES[scale])


def chord_classes(root: int, quality: int) -> NDArray[np.bool_]:
    """The pitch classes of a chord, bool [12] from C."""
    return _classes(root, _TONES[quality])


def chord_of(notes: Iterable[Note], first_tick: int, end_tick: int) -> tuple[int, int] | None:
    """The chord that notes spell between two ticks, root and index in QUALITIES; None of fewer than two classes."""
    chroma, lowest = np.zeros(12), 128
    for note in notes:
        sounded = min(note.tick + note.length, end_tick) - max(note.tick, first_tick)
        if sounded > 0:
            chroma[note.pitch % 12] += sounded
            lowest = min(lowest, note.pitch)
    if np.count_nonzero(chroma) < 2:
        return None
    root, quality = best_chords(chroma[None, :], np.array([lowest % 12]))
    return int(root[0]), int(quality[0])


def _classes(root: int, tones: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(12, bool)
    mask[[(root + tone) % 12 for tone in tones]] = True
    return mask
