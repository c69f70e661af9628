"""Roles: who plays a note in an arrangement. Sixteen of them, as many as MIDI has channels.

Drums, and fifteen of the sixteen families of General MIDI 1 (its sound effects go with the synth effects).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A seat in the band.

    name:     a word, also the name of its switch
    channel:  MIDI channel 1-16 it is sent on where nothing else is said
    program:  the General MIDI program (0-127) it sounds with
    programs: the programs that are read as this role
    """

    name: str
    channel: int
    program: int
    programs: range


ROLES: tuple[Role, ...] = (
    Role("drums", 10, 0, range(0)),
    Role("bass", 5, 33, range(32, 40)),
    Role("piano", 1, 0, range(8)),
    Role("mallets", 2, 11, range(8, 16)),
    Role("organ", 3, 16, range(16, 24)),
    Role("guitar", 4, 24, range(24, 32)),
    Role("strings", 6, 40, range(40, 48)),
    Role("ensemble", 7, 48, range(48, 56)),
    Role("brass", 8, 56, range(56, 64)),
    Role("reed", 9, 65, range(64, 72)),
    Role("pipe", 11, 73, range(72, 80)),
    Role("lead", 12, 80, range(80, 88)),
    Role("pad", 13, 89, range(88, 96)),
    Role("effects", 14, 98, range(96, 104)),
    Role("ethnic", 15, 104, range(104, 112)),
    Role("percussion", 16, 115, range(112, 120)),
)
"""In the order in which notes of one moment are written: the ground first, so that harmony hears the bass."""

DRUMS = 0
BASS = 1
ROLE_COUNT = len(ROLES)

ROLE_OF_PROGRAM: tuple[int, ...] = tuple(
    next((i for i, role in enumerate(ROLES) if program in role.programs), 13) for program in range(128)
)
"""General MIDI program to index in ROLES; 120-127, sound effects, are effects."""

CHANNELS: tuple[int, ...] = tuple(role.channel for role in ROLES)
"""MIDI channel 1-16 of each, where nothing else is said."""

PROGRAMS: dict[int, int] = {role.channel: role.program for role in ROLES if role.programs}
"""General MIDI program by channel; drums have none."""

ROLE_OF_CHANNEL: dict[int, int] = {role.channel: i for i, role in enumerate(ROLES)}
"""MIDI channel 1-16 to index in ROLES: each has its own. A note's `part` is that index plus 1."""

ROLE_NAMED: dict[str, int] = {role.name: i for i, role in enumerate(ROLES)}
