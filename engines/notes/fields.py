"""Fields: everything a model is told, as rows of one table of embeddings, which are summed.

An element is a handful of indices into the table. Row 0 is nothing and stays zero, so that shorter lists can be padded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import CONTROL_CLASSES
from engines.notes.events import (
    DURATION,
    DURATIONS,
    OFFSET,
    OFFSETS,
    PITCH,
    ROLE,
    STEP,
    STEPS_MAX,
    VELOCITIES,
    VELOCITY,
    Events,
)
from engines.notes.memory import CANDIDATES, MATCH_LENGTHS, NO_DURATION, NO_PITCH, NO_ROLE, NO_STEP, REFERENCES
from engines.notes.roles import DRUMS, ROLE_COUNT

_COLUMNS = [STEP, ROLE, PITCH, PITCH, DURATION, VELOCITY, OFFSET]  # a pitch is told as its class too

DENOMINATORS = (1, 2, 4, 8, 16)
TEMPO_BANDS = 9
PHRASE_BARS = 16
"""Bars are told their number modulo this."""
PITCHES = 256
"""128 pitches, and 128 drums, which are another thing."""

NOTE_FIELDS = 7
BAR_FIELDS = 5 + len(CONTROL_CLASSES) + ROLE_COUNT
MEMORY_FIELDS = CANDIDATES * 4 + 2
REFERENCE_FIELDS = REFERENCES * 4

Fields = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each field's rows begin in the table of a model that knows `genres` genres (class 0: not said)."""

    genres: int
    note: tuple[int, ...] = field(init=False)
    bar: tuple[int, ...] = field(init=False)
    inside: int = field(init=False)
    memory: tuple[int, ...] = field(init=False)
    reference: tuple[int, ...] = field(init=False)
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        end = 1

        def take(*sizes: int) -> tuple[int, ...]:
            nonlocal end
            starts = end + np.cumsum([0, *sizes])
            end = int(starts[-1])
            return tuple(int(start) for start in starts[:-1])

        set_ = object.__setattr__
        set_(self, "note", take(STEPS_MAX, ROLE_COUNT, PITCHES, 12, len(DURATIONS), VELOCITIES, len(OFFSETS)))
        set_(self, "bar", take(STEPS_MAX + 1, len(DENOMINATORS) + 1, TEMPO_BANDS, self.genres + 1, PHRASE_BARS,
                               *CONTROL_CLASSES, *[3] * ROLE_COUNT))  # fmt: skip
        bar_rows = end - self.bar[0]
        set_(self, "inside", take(bar_rows)[0])
        one = (NO_STEP + 1, NO_ROLE + 1, PITCHES + 1, NO_DURATION + 1)
        set_(self, "memory", take(*one * CANDIDATES, *[len(MATCH_LENGTHS) + 1] * 2))
        set_(self, "reference", take(*(PITCHES + 1, NO_DURATION + 1, VELOCITIES + 1, len(OFFSETS) + 1) * REFERENCES))
        set_(self, "rows", end)

    def of_notes(self, events: Events) -> Fields:
        """[N, NOTE_FIELDS] of notes."""
        fields: Fields = events[:, _COLUMNS].astype(np.int32)
        fields[:, 3] %= 12
        fields += np.array(self.note, np.int32)
        drums = events[:, ROLE] == DRUMS
        fields[drums, 2] += NO_PITCH
        fields[drums, 3] = 0
        return fields

    def of_bars(self, facts: NDArray[np.int32], controls: NDArray[np.int32], band: NDArray[np.int32]) -> Fields:
        """[B, BAR_FIELDS] of bars.

        facts:    [B, 5] sixteenths (0: not said), class of the denominator, band of tempo, genre, number of the bar
                  modulo PHRASE_BARS
        controls: [B, 5] as in engines.notes.controls
        band:     [B, ROLE_COUNT] of each role: 0 not said, 1 silent, 2 plays
        """
        fields: Fields = (np.concatenate([facts, controls, band], 1) + np.array(self.bar)).astype(np.int32)
        return fields

    def within(self, bars: Fields) -> Fields:
        """[B, BAR_FIELDS] that each note of these bars is told beside its own: the same facts, in rows of their own."""
        return bars + np.int32(self.inside - self.bar[0])

    def of_memory(self, candidates: NDArray[np.uint8], matched: NDArray[np.uint8]) -> Fields:
        """[S, MEMORY_FIELDS] of what may come next (engines.notes.memory.Sequence)."""
        values = candidates.astype(np.int32)
        values[..., 2] = _two_kinds(values[..., 2], values[..., 1] == DRUMS)
        return np.concatenate([values.reshape(len(values), -1), matched], 1).astype(np.int32) + np.array(
            self.memory, np.int32
        )

    def of_references(self, references: NDArray[np.uint8], role: NDArray[np.int32]) -> Fields:
        """[N, REFERENCE_FIELDS] of what the chosen roles [N] played before."""
        values = references.astype(np.int32)
        values[..., 0] = _two_kinds(values[..., 0], (role == DRUMS)[:, None])
        return values.reshape(len(values), -1) + np.array(self.reference, np.int32)


def _two_kinds(pitch: NDArray[np.int32], drums: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Pitch classes of the table: 0-127, drums from 128, PITCHES for none."""
    return np.where(pitch == NO_PITCH, PITCHES, pitch + np.where(drums, NO_PITCH, 0))
