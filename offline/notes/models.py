"""Models of notes for evaluation: a song, what a model pays for it, and what a model plays when asked.

Every model is charged alike, whatever it calls a token: its bits are named by what they decide, and the choice of what
counts is made here, once (docs/MODELS.md, notes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, TICKS_PER_BEAT, Note
from engines.notes.events import DURATION, OFFSET, ROLE, STEP, VELOCITY, Bars, Events
from engines.notes.roles import DRUMS

FIELDS = ("bar", "step", "role", "pitch", "duration", "velocity", "offset", "other")
"""What a bit may be spent on, numbered as the columns of Events. bar: that a bar ends; other: what a vocabulary says
beside notes, such as a tempo."""
BAR_FIELD, OTHER = 0, 7

_STEPS_A_BEAT = TICKS_PER_BEAT // STEP_TICKS


@dataclass(frozen=True, slots=True)
class Song:
    """A piece of the data to judge by, or one that a model played.

    events, bars: see engines.notes.events
    velocity:     its velocities mean something, and are charged
    tokens:       uint16 [T] of the seed's vocabulary, from the same file; None where there are none
    """

    path: str
    genre: str
    source: str
    group: str
    events: Events
    bars: Bars
    velocity: bool = True
    tokens: NDArray[np.uint16] | None = None

    @property
    def beats(self) -> float:
        """Quarter notes in all its bars."""
        return float(self.bars[:, 0].sum()) / _STEPS_A_BEAT


@dataclass(frozen=True, slots=True)
class Bits:
    """What a model pays for a song, one entry a decision, in the order in which it decides.

    bits:  float64 [D] -log2 of the probability of what was there
    field: int8 [D] index in FIELDS
    drum:  bool [D] it is a decision about a drum's note
    notes: notes of the song as this model counts them (the seed's tokens leave some out)
    """

    bits: NDArray[np.float64]
    field: NDArray[np.int8]
    drum: NDArray[np.bool_]
    notes: int

    @classmethod
    def of_notes(cls, events: Events, notes: NDArray[np.floating], ends: NDArray[np.floating]) -> Self:
        """Of a model that decides note by note.

        notes: [N, 6] bits of step, role, pitch, duration, velocity, offset of each of events
        ends: [B] bits of the end of each bar
        Velocities that are not known, and how long a drum is held, are no decisions.
        """
        decided = np.ones(notes.shape, np.bool_)
        drum = events[:, ROLE] == DRUMS
        decided[drum, DURATION - STEP] = False
        decided[events[:, VELOCITY] == 0, VELOCITY - STEP] = False
        fields = np.broadcast_to(np.arange(STEP, OFFSET + 1, dtype=np.int8), notes.shape)
        return cls(
            np.concatenate([notes[decided], ends]).astype(np.float64),
            np.concatenate([fields[decided], np.full(len(ends), BAR_FIELD, np.int8)]),
            np.concatenate([np.broadcast_to(drum[:, None], notes.shape)[decided], np.zeros(len(ends), np.bool_)]),
            len(events),
        )

    def charged(self, velocity: bool) -> NDArray[np.float64]:
        """Bits of each of FIELDS [8]: all decisions but how long a drum is held, and how loud unless `velocity`."""
        left_out = (self.field == DURATION) & self.drum
        if not velocity:
            left_out |= self.field == VELOCITY
        return np.bincount(self.field[~left_out], self.bits[~left_out], len(FIELDS)).astype(np.float64)


@runtime_checkable
class Scored(Protocol):
    """A model that gives real music a probability.

    reads_tokens: it reads Song.tokens, which songs may lack
    """

    @property
    def reads_tokens(self) -> bool: ...  # noqa: D102 - said above

    def bits(self, song: Song) -> Bits:
        """What each decision of the song costs, each knowing all that came before it and the song's genre."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked to play from nothing.

    bars: their metres and tempi; a model that chooses its own plays as many
    genre: "" for none said
    temperature, top_p: None for the model's own
    blend, blend_amount: a second genre and its share, 0-1; "" for none
    heard: notes that a person played before the first bar, ticks from it (negative), each with its part
    follow: how they are followed (engines.notes.parameters.FOLLOW)
    chord: of the bars (engines.notes.scales.CHORDS, or "heard"); "" for the model's own
    """

    genre: str
    bars: Bars
    seed: int
    temperature: float | None = None
    top_p: float | None = None
    blend: str = ""
    blend_amount: float = 0.0
    heard: tuple[Note, ...] = ()
    follow: str = "continue"
    chord: str = ""


@runtime_checkable
class Playing(Protocol):
    """A model that plays."""

    @property
    def genres(self) -> tuple[str, ...]:
        """What it can be asked for."""
        ...

    def play(self, prompt: Prompt) -> tuple[Events, Bars]:
        """The events of the bars asked for, and the bars as played; the same for the same prompt."""
        ...
