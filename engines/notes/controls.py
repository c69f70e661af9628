"""Controls: what a bar is told about itself before its notes: how dense, how thick, how high, on which chord.

In training they are read off the bar; live they are the performer's. Class 0 of each means "not said".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import BAR, DURATION, DURATIONS, PITCH, ROLE, STEP, Events
from engines.notes.harmony import QUALITIES, best_chords
from engines.notes.roles import BASS, DRUMS

DENSITY, POLYPHONY, REGISTER, ROOT, QUALITY = range(5)
"""Columns of a row of controls."""
CONTROL_CLASSES = (9, 9, 9, 14, len(QUALITIES) + 1)
"""Classes of each column. root: 1 for no chord, 2-13 for C to B; quality: 1 and up as in QUALITIES."""

DENSITY_EDGES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)
"""Pitched notes a beat, between classes 1 to 8."""
POLYPHONY_EDGES = (1.2, 1.6, 2.2, 3.0, 4.0, 5.5, 7.0)
"""Pitched notes that begin together, on average."""
REGISTER_EDGES = (44.0, 50.0, 55.0, 60.0, 65.0, 70.0, 76.0)
"""Mean MIDI pitch of all but drums and bass."""

TEMPO_EDGES = (60.0, 76.0, 92.0, 108.0, 126.0, 148.0, 180.0)
"""Beats a minute, between bands 1 to 8 of tempo; band 0: not said."""


def band(values: NDArray[np.float64], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """The class, from 1, that each value falls in."""
    return np.searchsorted(np.array(edges), values, side="right") + 1


def controls_of(events: Events, steps: NDArray[np.int32]) -> NDArray[np.int32]:
    """[B, 5] controls of each bar of a piece, as its notes have them; a bar without pitched notes has class 0 register.

    events: of the whole piece; steps: [B] sixteenths of each bar
    """
    bars = len(steps)
    pitched = events[events[:, ROLE] != DRUMS]
    bar, pitch = pitched[:, BAR], pitched[:, PITCH]
    count = np.bincount(bar, minlength=bars).astype(np.float64)
    onsets = np.bincount(np.unique(bar * 64 + pitched[:, STEP]) // 64, minlength=bars)
    upper = pitched[pitched[:, ROLE] != BASS]
    upper_count = np.bincount(upper[:, BAR], minlength=bars)
    height = np.bincount(upper[:, BAR], upper[:, PITCH], minlength=bars) / np.maximum(upper_count, 1)

    sounding = np.minimum(np.array(DURATIONS)[pitched[:, DURATION]], steps[bar] - pitched[:, STEP])
    chroma = np.bincount(bar * 12 + pitch % 12, sounding, minlength=12 * bars).reshape(bars, 12).astype(np.float64)
    lowest = np.full(bars, 128)
    np.minimum.at(lowest, bar, pitch)
    root, quality = best_chords(chroma, np.where(lowest < 128, lowest % 12, -1))
    return np.stack(
        [
            band(count / (steps / 4.0), DENSITY_EDGES),
            np.where(count > 0, band(count / np.maximum(onsets, 1), POLYPHONY_EDGES), 0),
            np.where(upper_count > 0, band(height, REGISTER_EDGES), 0),
            root + 2,
            quality + 1,
        ],
        1,
    ).astype(np.int32)
