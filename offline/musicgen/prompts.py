"""Prompts: what is true of a clip, in words. Nothing is said that the notes do not bear out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.notes.roles import DRUMS, ROLE_OF_PROGRAM, ROLES
from offline.notes.features import MAJOR, MINOR
from offline.steering.concepts import NOTES
from offline.steering.index import Row

MODES = {"ionian": "major", "aeolian": "minor"}
INTERVALS = (
    "minor second", "major second", "minor third", "major third", "perfect fourth", "tritone", "perfect fifth",
    "minor sixth", "major sixth", "minor seventh", "major seventh", "octave",
)  # fmt: skip
CHORDS = {"maj": "major", "min": "minor", "aug": "augmented", "dim": "diminished"}
INVERSIONS = ("", ", first inversion", ", second inversion")
DEGREES = ("I", "II", "III", "IV", "V", "VI", "VII")
WORDS = {"ensemble": "string ensemble", "reed": "reeds", "pipe": "flutes", "lead": "synth lead", "pad": "synth pad",
         "effects": "synth effects", "ethnic": "folk instruments"}  # fmt: skip
"""What a role is called in a prompt, where it is not its own name."""

MOST_NAMED = 4
LEAST_SHARE = 0.05
"""Instruments with fewer of a clip's notes go unnamed."""
SURE, MARGIN = 0.75, 0.05
"""How well a key's profile must fit, and by how much better than any other tonic's, for the key to be said."""
ON_GRID = 0.15
"""Mean distance of onsets from sixteenths, in sixteenths (.25 is chance): above it there is no tempo to be heard."""


def prompt_of(genre: str, instruments: Sequence[str], bpm: float | None, key: str) -> str:
    """Such as "jazz, piano, bass and drums, 120 bpm, C minor"; what is not known is left out."""
    *most, last = [*instruments] or [""]
    played = f"{', '.join(most)} and {last}" if most else last
    tempo = f"{bpm:.0f} bpm" if bpm else ""
    return ", ".join(part for part in (genre.replace("_", " "), played, tempo, key) if part)


def instruments_of(program: NDArray[np.int64], is_drum: NDArray[np.bool_]) -> list[str]:
    """The General MIDI families of a clip's notes [N] in words, those with most notes first."""
    roles = np.where(is_drum, DRUMS, np.array(ROLE_OF_PROGRAM)[program])
    counts = np.bincount(roles, minlength=len(ROLES))
    order = np.argsort(-counts, kind="stable")[:MOST_NAMED]
    return [word_of(int(role)) for role in order if counts[role] >= max(1, LEAST_SHARE * len(roles))]


def word_of(role: int) -> str:
    """What an instrument family is called."""
    return WORDS.get(ROLES[role].name, ROLES[role].name)


def key_of(pitch: NDArray[np.int64], weight: NDArray[np.float64]) -> str:
    """The key of notes [N] weighed by how long they are held, such as "C minor"; "" where it is not clear.

    Correlation with the profiles of Krumhansl and Kessler (1982).
    """
    held = np.bincount(pitch % 12, weight, minlength=12)
    if np.count_nonzero(held) < 3 or held.std() == 0.0:
        return ""
    fits = np.array([[np.corrcoef(held, np.roll(profile, root))[0, 1] for root in range(12)]
                     for profile in (MAJOR, MINOR)])  # fmt: skip
    mode, root = np.unravel_index(int(fits.argmax()), fits.shape)
    others = np.delete(fits, root, axis=1).max()
    if fits[mode, root] < SURE or fits[mode, root] - others < MARGIN:
        return ""
    return f"{NOTES[root]} {('major', 'minor')[mode]}"


def on_grid(ticks: NDArray[np.int64], step_ticks: int) -> bool:
    """Whether onsets lie on a grid of steps well enough for a tempo to be heard."""
    phase = (ticks / step_ticks) % 1.0
    return bool(len(ticks)) and float(np.minimum(phase, 1.0 - phase).mean()) <= ON_GRID


def concept_prompt(row: Row) -> str:
    """Of a clip of prepare steering, such as "a C4 piano note", "a C major scale up, organ", "120 bpm clicks"."""
    if row.bpm is not None:
        return f"{row.bpm:.0f} bpm clicks"
    if row.signature is not None:
        return f"clicks in {row.signature}"
    played = word_of(ROLE_OF_PROGRAM[row.program])
    if row.pitch is not None:
        return f"{_one(row.pitch % 12)}{row.pitch // 12 - 1} {played} note"
    root, mode = NOTES[row.root or 0], MODES.get(row.mode or "", row.mode or "")
    if row.interval is not None:
        way = {"up": " up", "down": " down", "together": ""}[row.motion or "together"]
        return f"a {INTERVALS[row.interval - 1]}{way} on {root}, {played}"
    if row.chord is not None:
        return f"{_one(row.root or 0)} {CHORDS[row.chord]} {played} chord{INVERSIONS[row.inversion or 0]}"
    if row.progression is not None:
        degrees = "-".join(DEGREES[int(degree) - 1] for degree in row.progression.split()[1].split("-"))
        return f"chords {degrees} in {root} {mode}, {played}"
    return f"{_one(row.root or 0)} {mode} scale {row.motion}, {played}"


def _one(pitch_class: int) -> str:
    """A note with its article: "a C", "an F#"."""
    name = NOTES[pitch_class]
    return f"{'an' if name[0] in 'AEF' else 'a'} {name}"
