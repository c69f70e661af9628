"""Limits of a bar from the performer's parameters: who plays, how high, in which scale, on which chord, how many."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, TICKS_PER_BEAT, Meter
from engines.notes.grammar import PITCHES, Limits, Mask
from engines.notes.roles import DRUMS, ROLE_COUNT, ROLES
from engines.notes.scales import chord_classes, scale_classes
from engines.parameter import Value

RANGES: dict[str, tuple[int, int]] = {
    "drums": (27, 87),
    "bass": (23, 67),
    "piano": (21, 108),
    "mallets": (36, 108),
    "organ": (24, 108),
    "guitar": (36, 88),
    "strings": (24, 103),
    "ensemble": (28, 103),
    "brass": (28, 89),
    "reed": (34, 96),
    "pipe": (48, 108),
    "lead": (24, 108),
    "pad": (24, 108),
    "effects": (24, 108),
    "ethnic": (24, 108),
    "percussion": (24, 108),
}
"""Lowest and highest pitch that each role is for; drums: the map of General MIDI with Roland's additions."""

ANY_SCALE = "any"
CHORD_TONES = ("off", "beats", "all")
"""Where a chord that is asked for binds: it is only told to the model; on the beats; everywhere."""

_RANGE = np.array([RANGES[role.name] for role in ROLES])


def beats_of(meter: Meter) -> NDArray[np.int64]:
    """The steps of a bar that a beat falls on; a beat of 6/8, 9/8 and 12/8 has three eighths."""
    compound = meter.denominator >= 8 and meter.numerator % 3 == 0 and meter.numerator > 3
    beat_ticks = meter.beat_ticks * 3 if compound else min(meter.beat_ticks, TICKS_PER_BEAT)
    ticks = np.arange(meter.steps) * STEP_TICKS
    return np.flatnonzero(ticks % beat_ticks == 0)


def limits_of(
    meter: Meter,
    values: Mapping[str, Value],
    roles: Mask,
    chord: tuple[int, int] | None,
) -> Limits:
    """The limits of a bar.

    values: of engines.notes.parameters
    roles:  bool [ROLE_COUNT] who may play
    chord:  root and index in QUALITIES of the one that is asked for, or None

    Scale and chord both hold where they have a pitch class in common; else the chord does. Drums know neither.
    """
    every = np.arange(PITCHES)
    low, high = sorted((int(values["lowest"]), int(values["highest"])))
    inside = (every >= _RANGE[:, :1]) & (every <= _RANGE[:, 1:])
    inside[DRUMS + 1 :] &= (every >= low) & (every <= high)
    inside &= roles[:, None]

    classes = np.ones((meter.steps, 12), bool)
    if values["scale"] != ANY_SCALE:
        classes &= scale_classes(str(values["scale"]), str(values["root"]))
    if chord is not None and values["chord_tones"] != "off":
        tones = chord_classes(*chord)
        bound = classes & tones
        bound = np.where(bound.any(1, keepdims=True), bound, tones)
        where = slice(None) if values["chord_tones"] == "all" else beats_of(meter)
        classes[where] = bound[where]
    may = np.repeat(inside[None], meter.steps, 0)
    may[:, DRUMS + 1 :] &= classes[:, None, every % 12]
    voices = np.full(ROLE_COUNT, int(values["voices"]))
    voices[DRUMS] = PITCHES
    return Limits(may, voices, int(values["voices_total"]))
