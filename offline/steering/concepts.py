"""Concepts: what the words of --concept mean in a prepared set, such as note:C, interval:6, chord:minor, tempo."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from engines.errors import SidemanError
from engines.musicgen.direction import Task

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLATS = {"Db": 1, "Eb": 3, "Gb": 6, "Ab": 8, "Bb": 10}
_CHORDS = {"major": "maj", "minor": "min", "augmented": "aug", "diminished": "dim"}

Class = str | int


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of concept: the set it is heard in, the column that says it, and how its values are written."""

    set: str
    column: str
    number: bool = False
    read: Callable[[str], Class] = str
    write: Callable[[Class], str] = str


@dataclass(frozen=True, slots=True)
class Concept:
    """What is asked for. value: the class against all others; None: all classes, or a number."""

    kind: str
    value: Class | None = None

    @property
    def task(self) -> Task:
        """How it is learned."""
        if KINDS[self.kind].number:
            return "regression"
        return "multiclass" if self.value is None else "binary"

    @property
    def name(self) -> str:
        """As on the command line, the same for different spellings: note:Db is note:C#."""
        return self.kind if self.value is None else self.named(self.value)

    def named(self, value: Class) -> str:
        """The name of one class of the kind."""
        return f"{self.kind}:{KINDS[self.kind].write(value)}"


def concept_of(text: str) -> Concept:
    """Read --concept. Raises SidemanError with what there is."""
    kind, colon, value = text.strip().partition(":")
    if kind not in KINDS:
        raise SidemanError(f"--concept {text}: there is no {kind or 'empty one'}; there are {', '.join(KINDS)}")
    if not colon:
        return Concept(kind)
    if KINDS[kind].number:
        raise SidemanError(f"--concept {text}: {kind} is a number with no classes; say --concept {kind}")
    try:
        return Concept(kind, KINDS[kind].read(value))
    except ValueError as error:
        raise SidemanError(f"--concept {text}: {value!r} is no {kind}; {error}") from error


def file_name(name: str) -> str:
    """The name of a concept as that of a file."""
    return re.sub(r"[^\w#+-]+", "-", name)


def _note(text: str) -> Class:
    word = text[:1].upper() + text[1:]
    if word in NOTES:
        return NOTES.index(word)
    if word in _FLATS:
        return _FLATS[word]
    raise ValueError(f"notes are {' '.join(NOTES)}")


def _interval(text: str) -> Class:
    if text.isdecimal() and 1 <= int(text) <= 12:
        return int(text)
    raise ValueError("intervals are 1 to 12 semitones")


def _written(value: Class) -> str:
    return NOTES[int(value)]


KINDS: dict[str, Kind] = {
    "note": Kind("notes", "note", read=_note, write=_written),
    "pitch": Kind("notes", "pitch", number=True),
    "interval": Kind("intervals", "interval", read=_interval),
    "motion": Kind("intervals", "motion"),
    "chord": Kind("chords", "chord", read=lambda text: _CHORDS.get(text, text)),
    "root": Kind("chords", "root", read=_note, write=_written),
    "inversion": Kind("chords", "inversion", read=int),
    "mode": Kind("scales", "mode"),
    "progression": Kind("progressions", "progression"),
    "tempo": Kind("tempos", "bpm", number=True),
    "signature": Kind("signatures", "signature"),
}
"""The word before the colon, to what it is."""
