"""Vocabulary: the seed's tokens (miditok's REMI, numbered bars, genres), and what notes they stand for.

A position is an eighth of a beat. One between two sixteenths is, in our events, three twenty-fourths before the later
one. Of tokens that mean the same to us (two programs of one role, two velocities of one class) one is written, and the
probabilities of all are summed: what is sampled and what a history is read as are then the same tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError
from engines.notes.events import (
    DURATION,
    DURATIONS,
    OFFSET,
    OFFSETS,
    ON_GRID,
    PITCH,
    ROLE,
    STEP,
    VELOCITIES,
    VELOCITY,
    velocity_of,
)
from engines.notes.history import Measure
from engines.notes.roles import DRUMS, ROLE_COUNT, ROLE_OF_PROGRAM, ROLES

TINY = 1e-30
"""The probability of what cannot be."""

EARLY = 0
"""The class of offset of a position between two sixteenths: three twenty-fourths early, on the later one."""
POSITIONS = 96
"""Eighths of a beat that have a token."""
NEXT = POSITIONS + ROLE_COUNT + 1
"""What may come after a note: a position, a role at the same position, or the bar's end, numbered in this order."""
END = NEXT - 1
BARS_TOLD = 64
"""Bars are told their number up to twice this, and from there on the second half over and over."""

_LONGEST = 64
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Tokens of one kind. classes: int64 [V] the class of each token, `count` where it is of another kind."""

    classes: NDArray[np.int64]
    count: int


class Vocabulary:
    """The tokens of a bundle, by what they stand for."""

    def __init__(self, names: Sequence[str]) -> None:
        """names: of each token, as miditok spells them. Raises BundleError for a vocabulary without notes."""
        self.names = tuple(names)
        number = {name: i for i, name in enumerate(names)}
        self.genres = tuple(name.removeprefix("Genre_") for name in names if name.startswith("Genre_"))
        try:
            self.begin, self.no_genre = number["BOS_None"], number["PAD_None"]
            self._genre = tuple(number[f"Genre_{genre}"] for genre in self.genres)
            self._bar = tuple(number[f"Bar_{i}"] for i in range(2 * BARS_TOLD))
            self._position = tuple(number[f"Position_{i}"] for i in range(POSITIONS))
            self._program = tuple(
                number["Program_-1" if i == DRUMS else f"Program_{role.program}"] for i, role in enumerate(ROLES)
            )
        except KeyError as missing:
            raise BundleError(
                f"its vocabulary has no {missing.args[0]}; it is none of REMI's: export it again"
            ) from None
        self._metre = {name.removeprefix("TimeSig_"): i for name, i in number.items() if name.startswith("TimeSig_")}
        self._tempo = {float(name.removeprefix("Tempo_")): i for name, i in number.items() if name.startswith("Tempo_")}
        self._pitch = {int(name.removeprefix("Pitch_")): i for name, i in number.items() if name.startswith("Pitch_")}
        loud = {int(name.removeprefix("Velocity_")): i for name, i in number.items() if name.startswith("Velocity_")}
        long = {_sixteenths(name): i for name, i in number.items() if name.startswith("Duration_")}
        if not (self._tempo and self._pitch and loud and long):
            raise BundleError("its vocabulary lacks tempos, pitches, velocities or durations: export it again")
        self._velocity = tuple(loud[_nearest(loud, velocity_of(each))] for each in range(VELOCITIES))
        self._duration = tuple(long[_nearest(long, each)] for each in DURATIONS)
        self._hit = long[min(long)]

        following = {token: position for position, token in enumerate(self._position)}
        for name, token in number.items():
            if name.startswith("Program_"):
                following[token] = POSITIONS + _role(int(name.removeprefix("Program_")))
            elif name.startswith("Bar_"):
                following[token] = END
        self.next = self._kind(NEXT, following)
        self.pitch = self._kind(128, {token: pitch for pitch, token in self._pitch.items()})
        self.velocity = self._kind(VELOCITIES, {token: value // 16 + 1 for value, token in loud.items()})
        self.duration = self._kind(len(DURATIONS), {token: _class_of(value) for value, token in long.items()})
        self.pitches = np.array([pitch in self._pitch for pitch in range(128)])

    def __len__(self) -> int:
        return len(self.names)

    def prefix(self, genre: int) -> list[int]:
        """What stands before all music. genre: index in genres, or -1 for none said."""
        return [self.begin, self._genre[genre] if genre >= 0 else self.no_genre]

    def header(self, measure: Measure, number: int, before: Measure | None) -> list[int]:
        """A bar's own tokens: its number, its metre, and its tempo where that is another than before."""
        told = number if number < BARS_TOLD else BARS_TOLD + number % BARS_TOLD
        numerator = measure.steps * measure.denominator // 16
        metre = self._metre.get(f"{numerator}/{measure.denominator}") or self._metre.get(f"{measure.steps // 4}/4")
        tempo = self._tempo_token(measure)
        changes = tempo is not None and (tempo != self._tempo_token(before) if before is not None else number == 0)
        return [
            self._bar[told],
            *([metre] if metre is not None else []),
            *([self._position[0], tempo] if changes and tempo is not None else []),
        ]

    def music(self, measure: Measure, header: Sequence[int]) -> list[int]:
        """The tokens of a bar's notes, those of one moment by role and pitch. header: what was said of the bar."""
        tokens, at = list[int](), self.position_after(header)
        for position, row in sorted((place_of(row), row) for row in map(tuple, measure.events.tolist())):
            if position >= min(2 * measure.steps, POSITIONS) or row[PITCH] not in self._pitch:
                continue
            if position != at:
                tokens.append(self._position[position])
                at = position
            tokens += self.note(row)
        return tokens

    def note(self, row: Sequence[int]) -> list[int]:
        """The tokens of a note, a row of Events: program, pitch, velocity, duration."""
        return [
            self.program(row[ROLE]),
            self.pitch_token(row[PITCH]),
            self.velocity_token(row[VELOCITY]),
            self.duration_token(row[ROLE], row[DURATION]),
        ]

    def position_after(self, header: Sequence[int]) -> int:
        """The position that a bar's own tokens have said already, or -1."""
        return 0 if self._position[0] in header else -1

    def position(self, position: int) -> int:
        """The token of a position."""
        return self._position[position]

    def program(self, role: int) -> int:
        """The token that a role is written with."""
        return self._program[role]

    def pitch_token(self, pitch: int) -> int:
        """The token of a pitch that has one (`pitches`)."""
        return self._pitch[pitch]

    def velocity_token(self, velocity: int) -> int:
        """The token that a class of velocity is written with."""
        return self._velocity[velocity]

    def duration_token(self, role: int, duration: int) -> int:
        """The token that a class of duration is written with; drums have the shortest."""
        return self._hit if role == DRUMS else self._duration[duration]

    def _tempo_token(self, measure: Measure | None) -> int | None:
        if measure is None or measure.tempo_bpm <= 0.0:
            return None
        return self._tempo[_nearest(self._tempo, measure.tempo_bpm)]

    def _kind(self, count: int, classes: Mapping[int, int]) -> Kind:
        """classes: of tokens."""
        table = np.full(len(self.names), count, np.int64)
        table[list(classes)] = list(classes.values())
        return Kind(table, count)


def place_of(row: Sequence[int]) -> int:
    """The position that a note, a row of Events, is nearest to."""
    return max(0, (6 * row[STEP] + OFFSETS[row[OFFSET]] + 1) // 3)


def row_at(position: int) -> tuple[int, int]:
    """Step and class of offset of a position."""
    return (position + 1) // 2, EARLY if position % 2 else ON_GRID


def log_sums(logits: NDArray[np.float32], kind: Kind) -> NDArray[np.float64]:
    """[kind.count]: the log-probability of each class, of all tokens; hardly any for a class without tokens."""
    p = np.exp(logits.astype(np.float64) - logits.max())
    sums = np.bincount(kind.classes, p, kind.count + 1)[: kind.count] / p.sum()
    result: NDArray[np.float64] = np.log(sums + TINY)
    return result


def _role(program: int) -> int:
    return DRUMS if program < 0 else ROLE_OF_PROGRAM[program]


def _sixteenths(name: str) -> float:
    """Duration_BEATS.PARTS.PARTS_A_BEAT in sixteenths."""
    beats, parts, resolution = map(int, name.removeprefix("Duration_").split("."))
    return 4.0 * (beats + parts / resolution)


def _class_of(sixteenths: float) -> int:
    """The class of duration that engines.notes.events gives so long a note."""
    steps = min(max(int(sixteenths + 0.5), 1), _LONGEST)
    return int(np.abs(np.array(DURATIONS) - steps).argmin())


def _nearest(table: Mapping[_Number, int], value: float) -> _Number:
    return min(table, key=lambda each: (abs(each - value), each))
