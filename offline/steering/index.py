"""Index: a prepared folder's index.parquet, one row a clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from engines.errors import SidemanError
from offline.steering.split import SPLITS

INDEX = "index.parquet"
MAX_ROWS = 1_000_000


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"int": pa.int32(), "str": pa.string(), "float": pa.float64()}
    columns = [(field.name, kinds[str(field.type).partition(" ")[0]]) for field in fields(Row)]
    ordered = list(rows)
    table = pa.table(
        {name: pa.array([getattr(row, name) for row in ordered], kind) for name, kind in columns},
        schema=pa.schema(columns),
    )
    partial = folder / f".{INDEX}.part"
    pq.write_table(table, partial)
    partial.replace(folder / INDEX)


def read_index(folder: Path) -> list[Row]:
    """The rows of a prepared folder. Raises SidemanError where it is none, or a row is not what this says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / INDEX
    if not path.is_file():
        raise SidemanError(f"{folder} has no {INDEX}; it is made by: sideman prepare steering -o {folder}")
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise SidemanError(f"{path} has more than {MAX_ROWS:,} rows")
        table = file.read([field.name for field in fields(Row)]).to_pylist()
        return [_checked(Row(**values)) for values in table]
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, KeyError, TypeError, ValueError) as error:
        raise SidemanError(f"{path} is not what prepare steering writes ({error}); prepare again") from error


def _checked(row: Row) -> Row:
    path: Any = PurePosixPath(row.path)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{row.path!r} leads out of the folder")
    if row.split not in SPLITS:
        raise ValueError(f"split {row.split!r}")
    if not 1_000 <= row.rate_hz <= 384_000 or not 0 < row.seconds <= 3_600:
        raise ValueError(f"{row.path!r} of {row.seconds} s at {row.rate_hz} Hz")
    return row
