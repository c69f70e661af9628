"""Streams: a song as one line of tokens, on the product's fields and on the seed's vocabulary, for n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.events import (
    BAR,
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
)
from engines.notes.roles import DRUMS, ROLE_COUNT
from offline.notes.models import BAR_FIELD, OTHER, Bits, Song
from offline.notes.ngram import NGram

_BAR_END = 1
_STEP = 2
_ROLE = _STEP + STEPS_MAX
_PITCH = _ROLE + ROLE_COUNT
_DRUM = _PITCH + 128
_DURATION = _DRUM + 128
_VELOCITY = _DURATION + len(DURATIONS)
_OFFSET = _VELOCITY + VELOCITIES
FIELDS_SIZE = _OFFSET + len(OFFSETS)
"""Tokens of the product's fields laid flat, and BEGIN."""


@dataclass(frozen=True, slots=True)
class Stream:
    """tokens, field, drum: [T], field and drum as in Bits; notes: how many there are."""

    tokens: NDArray[np.int64]
    field: NDArray[np.int8]
    drum: NDArray[np.bool_]
    notes: int


@dataclass(frozen=True, slots=True)
class NGramModel:
    """A Scored of an n-gram and the way a song becomes its tokens."""

    ngram: NGram
    stream: Callable[[Song], Stream]
    reads_tokens: bool = False

    def bits(self, song: Song) -> Bits:
        """See Scored."""
        stream = self.stream(song)
        return Bits(self.ngram.bits(stream.tokens), stream.field, stream.drum, stream.notes)


def fields_of(song: Song) -> Stream:
    """The product's fields, one token each: the step where it is a new one, role, pitch (drums have their own), how
    long where it is no drum, how loud where that is known, how far off the grid; and one token where a bar ends."""
    rows = song.events.astype(np.int64)
    bar, drum = rows[:, BAR], rows[:, ROLE] == DRUMS
    place = bar * STEPS_MAX + rows[:, STEP]
    new = np.diff(place, prepend=-1) != 0
    pitch = np.where(drum, _DRUM, _PITCH) + rows[:, PITCH]
    columns = [
        np.where(new, _STEP + rows[:, STEP], -1),
        _ROLE + rows[:, ROLE],
        pitch,
        np.where(drum, -1, _DURATION + rows[:, DURATION]),
        np.where(rows[:, VELOCITY] > 0, _VELOCITY + rows[:, VELOCITY], -1),
        _OFFSET + rows[:, OFFSET],
    ]
    notes = np.stack(columns, 1)
    ends = np.full((len(song.bars), len(columns)), -1, np.int64)
    ends[:, 0] = _BAR_END
    order = np.argsort(np.concatenate([bar * 2, np.arange(len(ends)) * 2 + 1]), kind="stable")
    tokens = np.concatenate([notes, ends])[order]
    fields = np.broadcast_to(np.arange(STEP, OFFSET + 1, dtype=np.int8), tokens.shape)
    fields = np.where(tokens == _BAR_END, np.int8(BAR_FIELD), fields)
    drums = np.broadcast_to(np.concatenate([drum, np.zeros(len(ends), np.bool_)])[order][:, None], tokens.shape)
    there = tokens >= 0
    return Stream(tokens[there], fields[there], drums[there], len(rows))


_KINDS = {
    "Bar": BAR_FIELD, "Position": STEP, "Program": ROLE, "Pitch": PITCH, "PitchDrum": PITCH, "Duration": DURATION,
    "Velocity": VELOCITY,
}  # fmt: skip
_GIVEN = ("BOS", "Genre", "PAD")


def seed_of(names: Sequence[str]) -> Callable[[Song], Stream]:
    """What lays a song flat on the seed's vocabulary: its tokens but BOS and the genre, which are given.

    names: of each token (vocab.json of a data set). Raises SidemanError at a song without tokens of it.
    """
    kind_of = [name.partition("_")[0] for name in names]
    field = np.array([_KINDS.get(kind, OTHER) for kind in kind_of], np.int8)
    given = np.array([kind in _GIVEN for kind in kind_of])
    drums = names.index("Program_-1") if "Program_-1" in names else -1

    def stream(song: Song) -> Stream:
        if song.tokens is None or int(song.tokens.max(initial=0)) >= len(names):
            raise SidemanError(f"{song.path} has no tokens of this vocabulary; prepare the data again, with tokens")
        tokens = song.tokens.astype(np.int64)
        tokens = tokens[~given[tokens]]
        decided = field[tokens]
        programs = np.maximum.accumulate(np.where(decided == ROLE, np.arange(len(tokens)), 0))
        drum = (tokens[programs] == drums) & np.isin(decided, (ROLE, PITCH, DURATION, VELOCITY))
        return Stream(tokens, decided, drum, int((decided == PITCH).sum()))

    return stream
