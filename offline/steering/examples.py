"""Examples: which clips of a prepared set a concept is learned from, validated and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import SidemanError
from offline.data.labels import SPLITS
from offline.steering.concepts import KINDS, Class, Concept
from offline.steering.index import INDEX, read_index

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
    kind, index = KINDS[concept.kind], folder / INDEX
    every = [(at, row, getattr(row, kind.column)) for at, row in enumerate(read_index(folder)) if row.set == kind.set]
    rows = [(at, row, said) for at, row, said in every if said is not None]
    values: list[Class] = sorted({said for _, _, said in rows})
    if concept.value is not None and concept.value not in values:
        have = ", ".join(concept.named(value) for value in values) or f"nothing of {concept.kind}"
        raise SidemanError(f"{index} has no {concept.name}; it has {have:.300}")
    if not rows:
        raise SidemanError(
            f"{index} has no {concept.kind}; prepare its set: sideman prepare steering --sets {kind.set}"
        )
    numbers = {value: number for number, value in enumerate(values)}
    by_split: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for at, row, said in rows:
        if concept.task == "regression":
            label = float(said)
        else:
            label = float(said == concept.value) if concept.task == "binary" else float(numbers[said])
        by_split[row.split].append(Clip(at, folder / row.path, label))
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
