"""What is known of a loop that plays: what somebody has to prepare, what was prepared, and what sounds when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bridge.sound.kit import Samples
from engines.music import LoopFile

NEAR, SILENCE = 64, 1e-3
"""Frames before a loop begins, and how loud they may be if it begins from silence."""

FADE_S = 0.010
"""Of a seam, and of a loop that enters or ends in its middle."""


@dataclass(frozen=True, slots=True)
class Want:
    """A loop at a tempo, from a tick of its own on, as somebody has to prepare it."""

    loop: LoopFile
    tempo_mbpm: int
    from_tick: int = 0


@dataclass(frozen=True, slots=True)
class Take:
    """A prepared loop: frames (n, 2) at the device's rate, of which index 0 is its tick from_tick.

    The last FADE_S of frames are there only to be faded out, behind its end.

    lead: of a loop that is joined to the one before, index `lead` is its beginning instead, and may lie between two
    frames; pace: frames of it in the time of one, next to 1: it fills its span to a fraction of a frame
    """

    frames: Samples
    tempo_mbpm: int
    from_tick: int = 0
    lead: float = 0.0
    pace: float = 1.0

    @property
    def goes_on(self) -> bool:
        """Whether it is the middle of a sound that it begins with."""
        before = self.frames[max(0, int(self.lead) - NEAR) : int(self.lead)]
        return bool(np.abs(before).max(initial=0.0) > SILENCE)


@dataclass(frozen=True, slots=True)
class Turn:
    """From a frame on an entry sounds by this take; from position `free` at its own speed, or else by the grid."""

    frame: int
    take: Take
    faded: bool
    free: float | None = None


@dataclass(slots=True)
class Entry:
    """A loop, or a repetition of it, from stage tick `tick` to `end`.

    shift: by how much of a frame it begins later than its tick, so that it begins on a whole one
    join: so many frames before its tick it takes over from the one before, of which it has the end; bend: so much
    faster than itself that end is read, as it is of another tempo
    """

    tick: int
    end: int
    loop: LoopFile
    shift: float = 0.0
    join: int = 0
    bend: float = 1.0
    turns: list[Turn] = field(default_factory=list)
