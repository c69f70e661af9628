"""Index: a row for each file of a data set of notes, what is known of it and which split it is in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offline.data.labels import SPLITS
from offline.data.table import read_rows

INDEX_FILE, SPLITS_FILE, MANIFEST_FILE = "index.parquet", "splits.json", "manifest.parquet"
COMMAND = "sideman prepare notes SOURCE -o FOLDER"


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


def read_index(folder: Path) -> list[Row]:
    """The index of the data set in a folder. Raises SidemanError when it is missing or damaged."""
    return read_rows(folder / INDEX_FILE, Row, COMMAND)


def read_manifest(folder: Path) -> list[TokenRow]:
    """The tokens' manifest of the data set in a folder; every file it names lies inside the folder, if it is there.

    Raises SidemanError when it is missing or damaged, or names files elsewhere.
    """
    return read_rows(folder / MANIFEST_FILE, TokenRow, COMMAND, inside="file")


def write_splits(path: Path, rows: Iterable[Row]) -> None:
    """Write the paths of each split as JSON."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in rows:
        splits[row.split].append(row.path)
    path.write_text(json.dumps(splits, indent=1, ensure_ascii=False) + "\n", "utf-8")
