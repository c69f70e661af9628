"""Index: a prepared folder's index.parquet, one row a clip."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from offline.data.labels import SPLITS
from offline.data.table import read_rows, write_rows

INDEX = "index.parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: a WAV of one channel and 16 bits. None: the label says nothing of this clip.

    path:     relative to the folder
    set:      notes, intervals, chords, scales, progressions, tempos or signatures
    split:    train, validation or test
    font:     name of the sound font's file; "" where it is not known
    program:  General MIDI's, 0-127; -1 for clicks
    register: octave of the lowest pitch, MIDI pitch // 12 (C4, 60, begins octave 5); -1 for clicks
    pitch, note: of a single note, MIDI 0-127 and its class 0-11; root: class of an interval's lower note, a chord's,
              a scale's or a progression's tonic
    interval: semitones, 1-12; motion: up, down or together
    chord:    maj, min, aug or dim; inversion: 0-2
    mode:     of a scale or progression, ionian to locrian; progression: such as "ionian 1-4-5-1"
    bpm:      of the clicks of tempos; signature: of those of signatures, such as "3/4"
    """

    path: str
    set: str
    split: str
    font: str
    program: int
    register: int
    rate_hz: int
    seconds: float
    pitch: int | None = None
    note: int | None = None
    root: int | None = None
    interval: int | None = None
    motion: str | None = None
    chord: str | None = None
    inversion: int | None = None
    mode: str | None = None
    progression: str | None = None
    bpm: float | None = None
    signature: str | None = None


LABELS = tuple(field.name for field in fields(Row))[8:]


def write_index(folder: Path, rows: Iterable[Row]) -> None:
    """Write index.parquet, whole or not at all; the same rows are the same bytes."""
    write_rows(folder / INDEX, Row, rows)


def read_index(folder: Path) -> list[Row]:
    """The rows of a prepared folder. Raises SidemanError where it is none, or a row is not what this says."""
    return read_rows(folder / INDEX, Row, f"sideman prepare steering -o {folder}", _check, "path")


def _check(row: Row) -> None:
    if row.split not in SPLITS:
        raise ValueError(f"split {row.split!r}")
    if not 1_000 <= row.rate_hz <= 384_000 or not 0 < row.seconds <= 3_600:
        raise ValueError(f"{row.path!r} of {row.seconds} s at {row.rate_hz} Hz")
    if row.bpm is not None and not math.isfinite(row.bpm):
        raise ValueError(f"{row.path!r} at {row.bpm} bpm")
