"""Follow: what was heard, as a rule for each step of the bar to come.

`tap` takes the rhythm as it was played: a hit on each of its steps and none between, the drums being the model's
choice (tap to drum; GrooVAE, Gillick et al. 2019, learns it; here any model is held to it while it samples). `lock`
has the kick go with a heard bass.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, MASKS
from engines.engine import Request
from engines.music import STEP_TICKS, Meter, Note
from engines.notes.roles import BASS, DRUMS
from engines.randomness import generator

LOCK_STREAM = 2

BASS_BELOW = 60
"""Middle C: what is heard below it is a bass."""

DRUM_PART, BASS_PART = DRUMS + 1, BASS + 1

KICK = 0

LATE_SHARE = 4
"""What is played in the last moments before a bar comes too late for it. It counts in the bar after, with all of the
bar's length before the last note that was heard; at most this part of a bar is taken from the bar before."""

_HIT: NDArray[np.bool_] = (np.arange(MASKS)[:, None] >> np.arange(INSTRUMENTS)) & 1 > 0


def onsets(heard: Iterable[Note], meter: Meter) -> NDArray[np.bool_] | None:
    """The sixteenths of a bar on which notes of the last bar began, bool [meter.steps]; None if there were none.

    heard: in ticks from the start of the bar to come, as a Request has them.
    """
    bar = meter.bar_ticks
    ticks = np.array([note.tick for note in heard], np.int64)
    ticks = ticks[ticks > max(ticks.max(initial=-2 * bar) - bar, -bar - bar // LATE_SHARE)]
    if not len(ticks):
        return None
    steps = np.zeros(meter.steps, bool)
    steps[(ticks + STEP_TICKS // 2) // STEP_TICKS % meter.steps] = True
    return steps


def allowed(request: Request, tap: bool, lock: float) -> NDArray[np.bool_] | None:
    """The masks that each step may be, bool [steps, 512], at least one in each; None if nothing heard says anything.

    lock: the share of the steps on which the kick is hit where the bass was, and nowhere else. The bass is what was
    played low on an input, or by another player: by its bass, where it has one.
    """
    if not (request.heard or request.band) or not (tap or lock > 0.0):
        return None
    steps = request.meter.steps
    may = np.ones((steps, MASKS), bool)
    rhythm = onsets(request.heard, request.meter) if tap else None
    bass = onsets(_bass(request), request.meter) if lock > 0.0 else None
    if rhythm is None and bass is None:
        return None
    if rhythm is not None:
        may &= rhythm[:, None] == _HIT.any(axis=1)
    if bass is not None:
        bound = generator(request.seed, request.bar, request.take, LOCK_STREAM).random(steps) < lock
        kick = bass if rhythm is None else bass & rhythm
        may &= ~bound[:, None] | (kick[:, None] == _HIT[:, KICK])
    return may


def _bass(request: Request) -> list[Note]:
    """The notes of whoever plays the bass."""
    played = [note for note in (*request.heard, *request.band) if note.part != DRUM_PART]
    return [note for note in played if note.part == BASS_PART] or [n for n in played if n.pitch < BASS_BELOW]
