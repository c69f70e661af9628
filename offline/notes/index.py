"""Index: a row for each file of a data set of notes, what is known of it and which split it is in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from offline.data.labels import SPLITS

INDEX_FILE, SPLITS_FILE, MANIFEST_FILE = "index.parquet", "splits.json", "manifest.parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """A file that is used. Texts are "" where nothing is known.

    path:        inside the source; group: files of one never come apart; split: one of SPLITS
    fingerprint: of its notes, the same in any key and at any tempo
    performed:   its beats were found by ear
    velocity:    its velocities mean something
    notes, bars, seconds: of the piece it gave, rests shortened (seconds: of the file)
    """

    path: str
    genre: str
    subgenre: str
    source: str
    licence: str
    nc: bool
    group: str
    split: str
    fingerprint: str
    performed: bool
    velocity: bool
    notes: int
    bars: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The tokens of a file.

    file:   a .npy of uint16 [T] inside the data set: BOS, the genre, music, EOS
    tokens: T
    cut:    bars or tokens were left out at its end (--max-bars, --max-len); it has no EOS if tokens were
    """

    path: str
    genre: str
    split: str
    file: str
    tokens: int
    cut: bool


def write_table(path: Path, rows: Sequence[Row] | Sequence[TokenRow], kind: type[Row] | type[TokenRow]) -> None:
    """Write rows as Parquet, a column for each field of their kind; equal rows give equal bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {"str": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(field.name, types[str(field.type)]) for field in fields(kind)])
    parquet.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


def read_index(folder: Path) -> list[Row]:
    """The index of the data set in a folder. Raises SidemanError when it is missing or damaged."""
    return [Row(**values) for values in _read(folder / INDEX_FILE, Row)]


def read_manifest(folder: Path) -> list[TokenRow]:
    """The tokens' manifest of the data set in a folder; every file it names lies inside the folder, if it is there.

    Raises SidemanError when it is missing or damaged, or names files elsewhere.
    """
    rows = [TokenRow(**values) for values in _read(folder / MANIFEST_FILE, TokenRow)]
    for row in rows:
        if not (folder / row.file).resolve().is_relative_to(folder.resolve()):
            raise SidemanError(f"{folder / MANIFEST_FILE} names a file outside its folder: {row.file}")
    return rows


def write_splits(path: Path, rows: Iterable[Row]) -> None:
    """Write the paths of each split as JSON."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in rows:
        splits[row.split].append(row.path)
    path.write_text(json.dumps(splits, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _read(path: Path, kind: type[Row] | type[TokenRow]) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    if not path.exists():
        raise SidemanError(f"{path} does not exist; write it with: sideman prepare notes SOURCE -o FOLDER")
    wanted = {"str": pa.types.is_string, "bool": pa.types.is_boolean, "int": pa.types.is_integer}
    try:
        table = parquet.read_table(path, columns=[field.name for field in fields(kind)])
        rows: list[dict[str, Any]] = table.to_pylist()
        for field in fields(kind):
            column = table.column(field.name)
            if column.null_count or not wanted.get(str(field.type), pa.types.is_floating)(column.type):
                raise ValueError(f"its column {field.name} is of another kind")
    except (OSError, ValueError, KeyError, pa.ArrowException) as problem:
        first = (str(problem) or type(problem).__name__).splitlines()[0]
        raise SidemanError(
            f"{path} cannot be read ({first:.120}); write it again with `sideman prepare notes`"
        ) from problem
    return rows
