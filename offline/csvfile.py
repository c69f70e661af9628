"""CSV files of results: rows of different columns, the same rows as the same bytes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

Cell = str | float | int | None


def write_csv(path: Path, rows: Sequence[dict[str, Cell]]) -> None:
    """Write rows under the union of their columns, whole or not at all; numbers to five digits."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{cell:.5g}" if isinstance(cell, float) else cell for key, cell in row.items()})
    partial.replace(path)
