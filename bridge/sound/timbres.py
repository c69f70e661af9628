"""Timbres: how the seats of a band sound without a sound font, each from two waves of a few partials.

Plain additive waves, read from a table: enough to tell bass, keys and strings apart while nothing better is connected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bridge.sound.kit import Samples
from engines.notes.roles import PROGRAMS, ROLE_OF_PROGRAM, ROLES

CYCLE = 4096
"""Samples of a wave."""

HELD_S = 1e9
"""How long what is blown or bowed takes to die away by itself."""


@dataclass(frozen=True, slots=True)
class Timbre:
    """A sound. body, edge: the level of each partial from the first; body_s, edge_s: how soon they die away.

    attack_s, release_s: how long it takes to come and to go; pan: -1 (left) to 1 (right); width: how far its two sides
    are out of tune, as a part of the frequency.
    """

    body: tuple[float, ...]
    edge: tuple[float, ...] = ()
    body_s: float = HELD_S
    edge_s: float = HELD_S
    attack_s: float = 0.004
    release_s: float = 0.12
    gain: float = 0.3
    pan: float = 0.0
    width: float = 0.0

    @property
    def sides(self) -> Samples:
        """How much goes left and right, float32 [2]."""
        angle = (self.pan + 1) * np.pi / 4
        return np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(np.sqrt(2))


SAW = tuple(0.5 / k for k in range(1, 9))

TIMBRES: dict[str, Timbre] = {
    "bass": Timbre((0.9, 0.2), (0.1, 0.4, 0.25, 0.15, 0.1), 1.3, 0.25, release_s=0.08, gain=0.42),
    "piano": Timbre((0.55, 0.28, 0.12, 0.08), (0.0, 0.2, 0.2, 0.12, 0.08), 1.6, 0.45, gain=0.32, pan=-0.15),
    "mallets": Timbre((0.8,), (0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2), 0.6, 0.08, gain=0.34, pan=0.25),
    "organ": Timbre((0.5, 0.35, 0.25, 0.15, 0.0, 0.1), release_s=0.05, gain=0.16, pan=-0.2, width=0.0006),
    "guitar": Timbre((0.6, 0.2), (0.1, 0.35, 0.3, 0.2, 0.12, 0.08), 1.0, 0.3, release_s=0.09, gain=0.3, pan=0.3),
    "strings": Timbre(SAW, attack_s=0.07, release_s=0.22, gain=0.18, pan=-0.3, width=0.0012),
    "ensemble": Timbre(SAW[:6], attack_s=0.1, release_s=0.3, gain=0.15, width=0.002),
    "brass": Timbre((0.5, 0.35), (0.1, 0.2, 0.35, 0.3, 0.2, 0.1), attack_s=0.03, gain=0.22, pan=0.2),
    "reed": Timbre((0.7, 0.08, 0.3, 0.05, 0.15), (0.0, 0.2, 0.1, 0.15), attack_s=0.025, gain=0.24, pan=0.1),
    "pipe": Timbre((0.9, 0.12, 0.05), (0.0, 0.2), edge_s=0.1, attack_s=0.03, gain=0.26, pan=-0.1),
    "lead": Timbre((0.8, 0.0, 0.27, 0.0, 0.16, 0.0, 0.11), SAW, edge_s=0.3, gain=0.18, width=0.0008),
    "pad": Timbre((0.6, 0.2, 0.1), attack_s=0.2, release_s=0.5, gain=0.2, width=0.0025),
    "effects": Timbre((0.5, 0.0, 0.2), (0.0, 0.0, 0.0, 0.0, 0.3, 0.0, 0.2), 2.0, 0.8, release_s=0.4, width=0.003),
    "ethnic": Timbre((0.5, 0.25), (0.0, 0.2, 0.35, 0.3, 0.25, 0.2), 0.8, 0.2, release_s=0.1, gain=0.28, pan=0.15),
    "percussion": Timbre((0.8,), (0.0, 0.3, 0.2), 0.18, 0.05, release_s=0.1, gain=0.4, pan=-0.2),
}
"""By the name of a seat, engines.notes.roles.ROLES. Drums are the kit's."""


class Timbres:
    """The timbre of each channel, and its waves at a rate, made when they are first heard."""

    def __init__(self, rate: int, programs: Mapping[int, int] = PROGRAMS) -> None:
        self._rate = rate
        self._of_channel = {channel: TIMBRES[ROLES[ROLE_OF_PROGRAM[p]].name] for channel, p in programs.items()}
        self._waves: dict[tuple[tuple[float, ...], int], Samples] = {}

    def of(self, channel: int) -> Timbre:
        """What a channel sounds like."""
        return self._of_channel.get(channel, TIMBRES["piano"])

    def wave(self, partials: tuple[float, ...], pitch: int) -> Samples:
        """One cycle of those partials that lie below half the rate at a pitch, float32 [CYCLE]."""
        hz = 440.0 * 2 ** ((pitch - 69) / 12)
        count = min(len(partials), int(self._rate / 2 / hz))
        key = (partials, count)
        if key not in self._waves:
            turns = np.arange(CYCLE) / CYCLE * 2 * np.pi
            levels = enumerate(partials[:count], 1)
            self._waves[key] = sum((np.sin(k * turns) * level for k, level in levels), np.zeros(CYCLE)).astype(
                np.float32
            )
        return self._waves[key]
