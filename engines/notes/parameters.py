"""What a performer can turn on a player of notes, and what of it the model is told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import CONTROL_CLASSES, DENSITY, POLYPHONY, QUALITY, REGISTER, ROOT
from engines.notes.harmony import ROOTS
from engines.notes.limits import ANY_SCALE, CHORD_TONES
from engines.notes.roles import ROLES
from engines.notes.scales import CHORDS, SCALES
from engines.parameter import Parameter, Value

ANY_GENRE = "any"
NO_BLEND = "none"
FREE_CHORD, HEARD_CHORD = "free", "heard"
AUTO = -1.0

SILENT_AT_FIRST = ("drums", "percussion", "effects")
"""Seats that play when they are switched on: there are better drummers here, and what they leave unplayed is no
matter of the two others."""

BAND = 8
"""Seats that are a band, all of which play; where more may, it is the model's choice which do."""

CONTINUE, ACCOMPANY, IGNORE = FOLLOW = ("continue", "accompany", "ignore")
"""What is heard was played as if by this player, and it goes on from there; or it is another's, who keeps the seat; or
it is nothing to it."""


def parameters_for(genres: tuple[str, ...]) -> tuple[Parameter, ...]:
    """The engine's parameters, for a model of these genres."""
    rows = [
        Parameter(name="genre", kind="choice", default=ANY_GENRE, choices=(ANY_GENRE, *genres), help="the genre"),
        Parameter(
            name="blend", kind="choice", default=NO_BLEND, choices=(NO_BLEND, *genres),
            help="a second genre, mixed into the first by blend_amount",
        ),
        Parameter(name="blend_amount", kind="float", default=0.5, help="share of the second genre"),
        Parameter(
            name="density", kind="float", default=AUTO, low=AUTO, high=1.0,
            help="notes a beat, from hardly any to as many as there are; below 0 it is the model's choice",
        ),
        Parameter(
            name="polyphony", kind="float", default=AUTO, low=AUTO, high=1.0,
            help="from single notes to thick chords; below 0 it is the model's choice",
        ),
        Parameter(
            name="register", kind="float", default=AUTO, low=AUTO, high=1.0,
            help="from low to high; below 0 it is the model's choice",
        ),
        Parameter(
            name="scale", kind="choice", default=ANY_SCALE, choices=(ANY_SCALE, *SCALES),
            help="only pitches of this scale on `root`",
        ),
        Parameter(name="root", kind="choice", default=ROOTS[0], choices=ROOTS, help="the scale's first note"),
        Parameter(
            name="chord", kind="choice", default=FREE_CHORD, choices=(FREE_CHORD, HEARD_CHORD, *CHORDS),
            help="the chord of the bar; heard: what was played on the inputs last",
        ),
        Parameter(
            name="chord_tones", kind="choice", default="beats", choices=CHORD_TONES,
            help="where only notes of the chord begin; off: the model is told of it and may do as it likes",
        ),
        Parameter(
            name="temperature", kind="float", default=1.0, high=2.0, help="how unlikely what is played may be"
        ),
        Parameter(name="top_p", kind="float", default=0.95, help="only the likeliest choices up to this share"),
        Parameter(name="top_k", kind="int", default=0, high=128, help="only the k likeliest choices; 0 is off"),
        Parameter(
            name="memory", kind="float", default=1.0,
            help="how much it goes by what stood at the same place before; less of it repeats less",
        ),
        Parameter(
            name="follow", kind="choice", default=CONTINUE, choices=FOLLOW,
            help="go on with what is heard, accompany it and leave its seat to it, or ignore it",
        ),
        Parameter(name="lowest", kind="int", default=0, high=127, help="no lower pitch than this"),
        Parameter(name="highest", kind="int", default=127, high=127, help="no higher pitch than this"),
        Parameter(name="voices", kind="int", default=8, low=1, high=16, help="notes at once in each seat"),
        Parameter(name="voices_total", kind="int", default=24, low=1, high=64, help="notes at once of all but drums"),
    ]  # fmt: skip
    rows += [
        Parameter(name=role.name, kind="bool", default=role.name not in SILENT_AT_FIRST, help=f"{role.name} may play")
        for role in ROLES
    ]
    return tuple(rows)


def switched_on(values: Mapping[str, Value]) -> NDArray[np.bool_]:
    """Whose switch is on, bool [ROLE_COUNT]."""
    return np.array([bool(values[role.name]) for role in ROLES])


def controls_asked(values: Mapping[str, Value], chord: tuple[int, int] | None) -> NDArray[np.int32]:
    """A bar's row of controls (engines.notes.controls), int32 [5]; 0 for what is the model's choice.

    chord: root and index in QUALITIES, or None
    """
    row = np.zeros(len(CONTROL_CLASSES), np.int32)
    for column, name in ((DENSITY, "density"), (POLYPHONY, "polyphony"), (REGISTER, "register")):
        row[column] = class_of(float(values[name]), CONTROL_CLASSES[column] - 1)
    if chord is not None:
        row[ROOT], row[QUALITY] = chord[0] + 2, chord[1] + 1
    return row


def class_of(amount: float, classes: int) -> int:
    """The class from 1 to `classes` that an amount from 0 to 1 stands for; 0 for less."""
    return 0 if amount < 0.0 else min(1 + int(amount * classes), classes)


def told_of(may: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.int32]:
    """What the model is told of each role in a bar to come, int32 [ROLE_COUNT]: 0 nothing, 1 silent, 2 plays.

    may: it may play; others: somebody else plays it. In training either all roles are told or none.
    """
    band = may | others
    return np.where(band, 2, 1).astype(np.int32) if band.sum() <= BAND else np.zeros(len(band), np.int32)


def genres_asked(values: Mapping[str, Value], genres: tuple[str, ...]) -> tuple[tuple[int, float], ...]:
    """Index in the model's genres, or -1 for none said, and share of what is mixed; shares sum to 1."""
    one, other = (genres.index(word) if word in genres else -1 for word in (str(values["genre"]), str(values["blend"])))
    share = float(values["blend_amount"]) if other >= 0 else 0.0
    both = ((one, 1.0 - share), (other, share))
    return tuple((genre, part) for genre, part in both if part > 0.0)
