"""Bars as letters: drums a line each, or the seats of a band a line each; a column a sixteenth, a gap at each beat."""

from __future__ import annotations

from collections.abc import Sequence

from engines.music import DRUM_OF_PITCH, DRUMS, STEP_TICKS, Meter, Note
from engines.notes.roles import DRUMS as DRUM_SEAT
from engines.notes.roles import ROLES

ROWS = ("crash", "ride", "open_hat", "closed_hat", "high_tom", "mid_tom", "floor_tom", "snare", "kick")
"""From top to bottom, as in drum notation."""

LETTERS = {
    "kick": "K", "snare": "S", "closed_hat": "h", "open_hat": "o", "floor_tom": "t", "mid_tom": "t", "high_tom": "t",
    "crash": "C", "ride": "r",
}  # fmt: skip
"""One letter an instrument for the one-line form; where several are hit, the first of these words wins."""
LOUDEST_FIRST = ("kick", "snare", "crash", "floor_tom", "mid_tom", "high_tom", "open_hat", "ride", "closed_hat")

GHOST_BELOW, ACCENT_FROM = 48, 104
"""Velocities: a hit is drawn o, x or X."""

NAME_WIDTH = max(*(len(drum.name) for drum in DRUMS), *(len(role.name) for role in ROLES))

PITCH_CLASSES = "CcDdEFfGgAaB"
"""A letter for each pitch class; a small one is the sharp of its letter."""
SOUNDS_ON = "."
MANY = 9


def grid(meter: Meter, notes: Sequence[Note], band: bool = False) -> list[str]:
    """A line for each drum, o soft, x middling, X loud; or, of a band, for each seat that plays, from high to low.

    band: it is one, even if nobody plays
    """
    if band or any(note.part for note in notes):
        return _seats(meter, notes)
    cells = {name: ["-"] * meter.steps for name in ROWS}
    for name, step, velocity in _placed(meter, notes):
        cells[name][step] = "o" if velocity < GHOST_BELOW else "X" if velocity >= ACCENT_FROM else "x"
    return [f"{name.replace('_', ' '):>{NAME_WIDTH}}  {spaced(meter, cells[name])}" for name in ROWS]


def one_line(meter: Meter, notes: Sequence[Note]) -> str:
    """A bar in one line: a letter for a drum; of a band, how many notes begin."""
    cells = ["-"] * meter.steps
    if any(note.part for note in notes):
        for step in range(meter.steps):
            count = sum(_step(meter, note) == step for note in notes)
            cells[step] = str(min(count, MANY)) if count else "-"
        return spaced(meter, cells)
    ranks = [len(LOUDEST_FIRST)] * meter.steps
    for name, step, _ in _placed(meter, notes):
        rank = LOUDEST_FIRST.index(name)
        if rank < ranks[step]:
            cells[step], ranks[step] = LETTERS[name], rank
    return spaced(meter, cells)


def spaced(meter: Meter, cells: Sequence[str]) -> str:
    """Cells with a gap before each beat of the metre (each quarter's worth at least two steps wide)."""
    beat = max(meter.beat_ticks // STEP_TICKS, 2)
    return " ".join("".join(cells[i : i + beat]) for i in range(0, len(cells), beat))


def _seats(meter: Meter, notes: Sequence[Note]) -> list[str]:
    """The highest pitch that each seat strikes, as a letter, and a point while it sounds on."""
    lines = []
    for part in sorted({note.part for note in notes}, key=lambda part: (part <= DRUM_SEAT + 1, -part)):
        cells = ["-"] * meter.steps
        mine = sorted((note for note in notes if note.part == part), key=lambda note: note.pitch)
        for note in mine:
            step = _step(meter, note)
            end = min(meter.steps, step + max(1, (note.length + STEP_TICKS // 2) // STEP_TICKS))
            for i in range(step + 1, end if part != DRUM_SEAT + 1 else step):
                cells[i] = SOUNDS_ON if cells[i] == "-" else cells[i]
        for note in mine:
            cells[_step(meter, note)] = "x" if part == DRUM_SEAT + 1 else PITCH_CLASSES[note.pitch % 12]
        name = ROLES[part - 1].name if part else "notes"
        lines.append(f"{name:>{NAME_WIDTH}}  {spaced(meter, cells)}")
    return lines


def _placed(meter: Meter, notes: Sequence[Note]) -> list[tuple[str, int, int]]:
    """(instrument, step, velocity) of the drums among the notes, softest first."""
    placed = []
    for note in sorted(notes, key=lambda note: note.velocity):
        index = DRUM_OF_PITCH.get(note.pitch)
        if index is not None and meter.steps:
            placed.append((DRUMS[index].name, _step(meter, note), note.velocity))
    return placed


def _step(meter: Meter, note: Note) -> int:
    """The sixteenth that a note begins on, as far as the bar goes."""
    return min(max((note.tick + STEP_TICKS // 2) // STEP_TICKS, 0), meter.steps - 1)
