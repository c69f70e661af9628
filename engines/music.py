"""Notes, phrases and metres in integer ticks: the values every part of Sideman speaks.

Time is counted in ticks, 960 to the quarter note, until the moment something leaves the stage (docs/ARCHITECTURE.md,
Time). Everything here is immutable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from engines.errors import SidemanError

TICKS_PER_BEAT = 960
"""Ticks in a quarter note, which is what "beat" means in tempo and in MIDI files."""

STEP_TICKS = TICKS_PER_BEAT // 4
"""Ticks in a sixteenth, the grid of the drum models."""


class Meter(msgspec.Struct, frozen=True, order=True):
    """A time signature, such as 7/8."""

    numerator: int = 4
    denominator: int = 4

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "4/4"; metres from 1/16 to 32/1 are taken.

        Raises SidemanError when the text is no metre.
        """
        top, slash, bottom = text.strip().partition("/")
        if slash and top.isdecimal() and bottom.isdecimal():
            numerator, denominator = int(top), int(bottom)
            if 1 <= numerator <= 32 and denominator in (1, 2, 4, 8, 16):
                return cls(numerator, denominator)
        raise SidemanError(f"{text!r} is not a metre; write it like 4/4 or 7/8")

    @property
    def bar_ticks(self) -> int:
        """Length of a bar in ticks."""
        return TICKS_PER_BEAT * 4 * self.numerator // self.denominator

    @property
    def beat_ticks(self) -> int:
        """Length of the metre's own beat (the denominator) in ticks."""
        return TICKS_PER_BEAT * 4 // self.denominator

    @property
    def felt_beat_ticks(self) -> int:
        """Length of the beat that is felt: of 6/8, 9/8 and their like it is three of the metre's own."""
        compound = self.denominator >= 8 and self.numerator % 3 == 0
        return self.beat_ticks * (3 if compound else 1)

    @property
    def steps(self) -> int:
        """Sixteenths in a bar."""
        return self.bar_ticks // STEP_TICKS

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


class Note(msgspec.Struct, frozen=True, order=True, array_like=True):
    """One note of a phrase.

    tick:     onset in ticks from the start of its phrase; a little below 0 for a hit played early
    pitch:    MIDI pitch 0-127 (a General MIDI drum for drum engines)
    velocity: 1-127
    length:   ticks, at least 1
    part:     1-16, who plays it where an engine speaks for several: a seat of engines.notes.roles.ROLES, counted
              from 1, which says on which MIDI channel; 0 where it speaks for one
    """

    tick: int
    pitch: int
    velocity: int
    length: int
    part: int = 0


class LoopFile(msgspec.Struct, frozen=True):
    """Audio of exactly a span, in a WAV file that does not change any more.

    path: absolute; rate: frames a second; frames, channels: its size; ticks: the span; tempo_mbpm: in thousandths of a
    bpm, the tempo at which its frames take that span; lead: so many frames more lie before them in the file, see
    engines.audio.Loop.
    """

    path: str
    rate: int
    frames: int
    channels: int
    ticks: int
    tempo_mbpm: int
    lead: int = 0


class Phrase(msgspec.Struct, frozen=True):
    """What a span holds: notes, sorted, and for a player of audio a loop.

    length is the span in ticks. A note starts inside the span, or up to half a step before it (an early downbeat). An
    engine returns notes here, or an engines.audio.Loop, of which its worker makes a phrase with a file.

    cut_tick: a bar for which there was not time enough ends there, on a beat (0: nothing of it is there); None: it is
    whole. No note starts at or after it; those that sound are ended there. A loop of 0 is what sounded before.
    """

    length: int
    notes: tuple[Note, ...] = ()
    loop: LoopFile | None = None
    cut_tick: int | None = None

    @classmethod
    def of(cls, length: int, notes: Iterable[Note]) -> Self:
        """A phrase with its notes put in order."""
        return cls(length, tuple(sorted(notes)))

    def check(self) -> None:
        """Raise ValueError if a note lies outside the span, or beyond its cut, or is not playable MIDI."""
        end = self.length if self.cut_tick is None else self.cut_tick
        if not 0 <= end <= self.length:
            raise ValueError(f"the bar is cut at tick {end}, outside its span of {self.length}")
        for note in self.notes:
            if not -STEP_TICKS // 2 <= note.tick < end:
                raise ValueError(f"a note starts at tick {note.tick}, outside its span of {end}")
            if not (0 <= note.pitch <= 127 and 1 <= note.velocity <= 127 and note.length >= 1 and 0 <= note.part <= 16):
                raise ValueError(f"{note} is not a playable note")


class Drum(msgspec.Struct, frozen=True):
    """One instrument of the nine-piece kit: its name, its General MIDI note, and what maps onto it."""

    name: str
    pitch: int
    pitches: tuple[int, ...]


DRUMS: tuple[Drum, ...] = (
    Drum("kick", 36, (36, 35)),
    Drum("snare", 38, (38, 40, 37, 39)),
    Drum("closed_hat", 42, (42, 22, 44)),
    Drum("open_hat", 46, (46, 26)),
    Drum("floor_tom", 43, (43, 58, 41)),
    Drum("mid_tom", 47, (47, 45)),
    Drum("high_tom", 50, (50, 48)),
    Drum("crash", 49, (49, 52, 55, 57)),
    Drum("ride", 51, (51, 53, 59)),
)
"""The nine-class reduction of the Groove MIDI Dataset (Gillick et al. 2019), with General MIDI's strays added.

Bit i of a step's mask is instrument i of this table.
"""

DRUM_OF_PITCH: dict[int, int] = {pitch: i for i, drum in enumerate(DRUMS) for pitch in drum.pitches}
"""MIDI pitch to index in DRUMS."""
