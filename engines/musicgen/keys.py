"""Held keys: while one is held the direction of its note rises, and falls when it is left.

A level is a ramp over the steps of the stream, so that what a step has of it can be worked out at any time again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engines.music import TICKS_PER_BEAT, Note

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CHORDS: dict[tuple[int, ...], str] = {(0, 4, 7): "maj", (0, 3, 7): "min", (0, 4, 8): "aug", (0, 3, 6): "dim"}
"""Semitones above the root, to the name of the chord's concept."""

SLACK_TICKS = TICKS_PER_BEAT // 16
"""A note that lasts to within so much of the moment of asking is held still."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A level: from one at a step straight to another, where it stays."""

    begin: float
    begin_step: float
    end: float
    end_step: float

    def at(self, step: float) -> float:
        """The level at a step."""
        if step >= self.end_step:
            return self.end
        share = max(0.0, step - self.begin_step) / (self.end_step - self.begin_step)
        return self.begin + share * (self.end - self.begin)


Levels = Mapping[str, Ramp]
"""Of concepts, such as note:C; those that are silent are not among them."""


@dataclass(frozen=True, slots=True)
class Touch:
    """How keys act. amount: the level of the loudest; attack, release: steps, of a whole rise and of a fall

    step_ticks: that a step lasts
    """

    amount: float
    attack: float
    release: float
    step_ticks: float


def concepts_held(notes: Iterable[Note]) -> dict[str, float]:
    """The concepts that some notes sounding together stand for, each with its loudest velocity from 0 to 1."""
    found: dict[str, float] = {}
    for note in notes:
        name = f"note:{NOTES[note.pitch % 12]}"
        found[name] = max(found.get(name, 0.0), note.velocity / 127)
    classes = sorted({NOTES.index(name[5:]) for name in found})
    for root in classes:
        chord = CHORDS.get(tuple(sorted((each - root) % 12 for each in classes)))
        if chord:
            found[f"chord:{chord}"] = sum(found.values()) / len(found)
            break
    return found


def levels_after(levels: Levels, heard: Iterable[Note], now_tick: int, touch: Touch, step: int) -> dict[str, Ramp]:
    """The levels from a step on, by what was heard up to now_tick (Request.now_tick).

    A key that was struck and left again in the meantime is heard as far as it rose, and falls from there.
    """
    heard = tuple(heard) if touch.amount > 0 else ()
    held = concepts_held(note for note in heard if note.tick + note.length >= now_tick - SLACK_TICKS)
    after: dict[str, Ramp] = {}
    for name, loud in held.items():
        old, target = levels.get(name), touch.amount * loud
        now = old.at(step) if old else 0.0
        if old and old.end == target:
            after[name] = old
        else:
            share = min(1.0, abs(target - now) / target)
            after[name] = Ramp(now, step, target, step + touch.attack * share)
    for name, old in levels.items():
        if name not in held:
            after[name] = old if old.end == 0.0 else Ramp(old.at(step), step, 0.0, step + touch.release)
    for note in heard:
        ((name, loud),) = concepts_held([note]).items()
        rose = touch.amount * loud * min(1.0, note.length / max(1.0, touch.attack * touch.step_ticks))
        if name not in held and rose > (after[name].at(step) if name in after else 0.0):
            after[name] = Ramp(rose, step, 0.0, step + touch.release)
    return {name: ramp for name, ramp in after.items() if ramp.end > 0.0 or ramp.at(step) > 0.0}
