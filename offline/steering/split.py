"""Split: no program and no register of a held-out clip is heard in training.

A random split would put the same note of the same instrument on both sides, and what is learned could be its timbre.
So the programs of General MIDI are divided, two of each family (one where a family has fewer than seven that are used)
for validation and as many for test, and so are the octaves: 4 is for validation, 6 for test, the others for training
(octave = MIDI pitch // 12, so that C4, 60, begins octave 5). A clip belongs to a split only if its program *and* its
octave both do; a mixed one would leak into both, and is left out. Sets that the recipe plays in one octave (intervals,
chords, scales, progressions) are played in the octave of their program's split, 5 for training: the concept is the
same there, and nothing is lost. Clicks have neither program nor register: they are divided by their sound, and the two
woodblocks stay together.
"""

from __future__ import annotations

from offline.data.labels import SPLITS
from offline.data.split import fingerprint

_SALT = b"sideman steering split 1"

_EFFECTS = {*range(96, 104), *range(112, 128)}
_UNCLEAR = {8, 9, 14, 21, 23, 47, 86}
_EXPRESSIVE = {22, 31, 55, 77, 78}
PROGRAMS = tuple(program for program in range(128) if program not in _EFFECTS | _UNCLEAR | _EXPRESSIVE)
"""The 92 programs of SynTheory: without effects, prominent overtones (8...) and voices whose pitch moves (22...)."""

OCTAVE = {"train": 5, "validation": 4, "test": 6}
"""Where a set of one octave is played."""

CLICK_SPLIT = {
    "default": "train", "woodblock_dark": "train", "woodblock_light": "train", "taiko": "validation",
    "synth_drum": "test",
}  # fmt: skip


def _divide() -> dict[int, str]:
    """The split of each program: those of a family in the order of their salted hash."""
    chosen = {}
    for family in range(16):
        members = [program for program in PROGRAMS if program // 8 == family]
        held = 2 if len(members) >= 7 else 1
        members.sort(key=_rank)
        for place, program in enumerate(members):
            chosen[program] = "validation" if place < held else "test" if place < 2 * held else "train"
    return dict(sorted(chosen.items()))


def _rank(program: int) -> str:
    return fingerprint(_SALT, str(program).encode())


PROGRAM_SPLIT = _divide()


def octave_split(octave: int) -> str:
    """The split that an octave (MIDI pitch // 12) belongs to."""
    return {OCTAVE["validation"]: "validation", OCTAVE["test"]: "test"}.get(octave, "train")


def split_of(program: int, octave: int) -> str:
    """The split of a clip, "" if its program and its octave belong to different ones, or the program to none."""
    split = PROGRAM_SPLIT.get(program, "")
    return split if split == octave_split(octave) else ""


__all__ = ["CLICK_SPLIT", "OCTAVE", "PROGRAMS", "PROGRAM_SPLIT", "SPLITS", "octave_split", "split_of"]
