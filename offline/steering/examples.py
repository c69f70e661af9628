"""Examples: which clips of a prepared set a concept is learned from, validated and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import SidemanError
from offline.data.labels import SPLITS
from offline.steering.concepts import KINDS, Class, Concept

INDEX_FILE = "index.parquet"
LEAST = 2
"""Clips of each class, or of numbers, that every split must have."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound of the set. row: of the index; label: 0 or 1, the number of its class, or the number itself."""

    row: int
    path: Path
    label: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Clips by split, and the names of the directions that they give: a class each, or one."""

    clips: dict[str, list[Clip]]
    names: tuple[str, ...]
    data: str
    """SHA-256 of the index."""


def examples_of(folder: Path, concept: Concept, count: int, seed: int) -> Examples:
    """So many clips to train on at most, and half as many in each other split; as many of each class where there are.

    Raises SidemanError for a set that is damaged, or has too little of the concept.
    """
    kind, index = KINDS[concept.kind], folder / INDEX_FILE
    rows = _read(index, kind.column, kind.set, kind.number)
    values: list[Class] = sorted({row["label"] for row in rows}, key=lambda value: (isinstance(value, str), value))
    if concept.value is not None and concept.value not in values:
        have = ", ".join(concept.named(value) for value in values) or f"nothing of {concept.kind}"
        raise SidemanError(f"{index} has no {concept.name}; it has {have:.300}")
    if not rows:
        raise SidemanError(
            f"{index} has no {concept.kind}; prepare its set: sideman prepare steering --sets {kind.set}"
        )
    numbers = {value: number for number, value in enumerate(values)}
    by_split: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for row in rows:
        if concept.task == "regression":
            label = float(row["label"])
        else:
            label = float(row["label"] == concept.value) if concept.task == "binary" else float(numbers[row["label"]])
        by_split[row["split"]].append(Clip(row["row"], folder / row["path"], label))
    classes = {"binary": 2, "multiclass": len(values), "regression": 0}[concept.task]
    chosen = {
        split: _chosen(clips, count if split == "train" else max(1, count // 2), classes, (seed, number))
        for number, (split, clips) in enumerate(by_split.items())
    }
    for split in SPLITS:
        _check(chosen[split], classes, f"{index}: {concept.name} has too few clips in {split}")
    names = tuple(map(concept.named, values)) if concept.task == "multiclass" else (concept.name,)
    return Examples(chosen, names, hashlib.sha256(index.read_bytes()).hexdigest())


def _chosen(clips: list[Clip], count: int, classes: int, seed: Sequence[int]) -> list[Clip]:
    """`count` at most, drawn; of each class as many."""
    drawn = [clips[i] for i in np.random.default_rng(list(seed)).permutation(len(clips))]
    if not classes:
        return drawn[:count]
    each = max(1, count // classes)
    return [clip for label in range(classes) for clip in [clip for clip in drawn if clip.label == label][:each]]


def _check(clips: list[Clip], classes: int, message: str) -> None:
    counts = [sum(clip.label == label for clip in clips) for label in range(classes)] or [len(clips)]
    flat = not classes and len({clip.label for clip in clips}) < 2
    if min(counts) < LEAST or flat:
        raise SidemanError(f"{message} (classes of {counts}); prepare more, or give a larger --clips")


def _read(index: Path, column: str, name: str, number: bool) -> list[dict[str, Any]]:
    """Rows of a set that say something in a column: row, path, split, label."""
    import pyarrow as pa
    from pyarrow import parquet

    if not index.is_file():
        raise SidemanError(f"{index} does not exist; write it with: sideman prepare steering -o FOLDER")
    try:
        table = parquet.read_table(index, columns=["path", "set", "split", column])
        found = [
            {"row": at, "path": row["path"], "split": row["split"], "label": row[column]}
            for at, row in enumerate(table.to_pylist())
            if row["set"] == name and row[column] is not None
        ]
        for row in found:
            if row["split"] not in SPLITS or not isinstance(row["path"], str):
                raise ValueError(f"row {row['row']} has the split {row['split']!r} and the path {row['path']!r}")
            if not isinstance(row["label"], int | float if number else int | str):
                raise ValueError(f"row {row['row']} has the {column} {row['label']!r}")
            if number and not np.isfinite(row["label"]):
                raise ValueError(f"row {row['row']} has the {column} {row['label']}")
            if not (index.parent / row["path"]).resolve().is_relative_to(index.parent.resolve()):
                raise ValueError(f"row {row['row']} names a file outside the folder: {row['path']}")
    except (OSError, ValueError, KeyError, pa.ArrowException) as problem:
        first = (str(problem) or type(problem).__name__).splitlines()[0]
        raise SidemanError(f"{index} cannot be used ({first:.160}); sideman prepare steering writes it") from problem
    return found
