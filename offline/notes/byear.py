"""By ear: how often beats and bars found by ear are right, on files that state them (docs/DATA.md, Beats by ear).

python -m offline.notes.byear SOURCE
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.music import STEP_TICKS, Meter
from engines.randomness import generator
from offline.data.labels import labels_of
from offline.data.midi import UnusableError
from offline.data.source import MAX_FILE_BYTES, Source
from offline.notes.beats import NEAR_TICKS, is_stated, on_beats, on_some_grid
from offline.notes.downbeats import METERS, contradicted
from offline.notes.pieces import bar_starts
from offline.notes.reading import Reading, read_midi

KINDS = ("stated", "contradicted", "moved", "played")
"""As files are told apart: on their own grid, and in their own bars or not; on another grid; on none."""
GOOD = 0.9
"""F of the first beats of bars from which on a song's bars are called found."""


@dataclass(slots=True)
class Tally:
    """Of the files of one source.

    kinds: how many of each of KINDS; near: shares of onsets within NEAR_TICKS of a sixteenth, as stated and by ear
    bars:  F of the first beats found, of files that state one metre; metre: whether it is the one that was found
    """

    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    near: list[tuple[float, float]] = field(default_factory=list)
    bars: list[float] = field(default_factory=list)
    metre: list[bool] = field(default_factory=list)

    def add(self, reading: Reading, random: np.random.Generator) -> None:
        """Listen to a file as it is; and, where it can be known what is right, moved and told nothing."""
        kind = kind_of(reading)
        self.kinds[kind] += 1
        self.near.append((_near(reading), _near(on_beats(reading)[0])))
        metre = reading.meters[0][1]
        if kind == "stated" and len(reading.meters) == 1 and metre in dict(METERS):
            by = int(random.integers(0, metre.bar_ticks))
            blind = replace(reading, ticks=reading.ticks + by, meters=((0, Meter(1, 4)),))
            heard, _ = on_beats(blind)
            lag = int(np.median(blind.ticks - heard.ticks))
            self.bars.append(_agreement(_starts(reading) + by - lag, _starts(heard)))
            self.metre.append(_longest(heard) == metre)


def kind_of(reading: Reading) -> str:
    """Which of KINDS a file is taken for."""
    if is_stated(reading.ticks):
        return "contradicted" if contradicted(reading) else "stated"
    return "moved" if on_some_grid(reading.ticks) else "played"


def _near(reading: Reading) -> float:
    off = np.abs((reading.ticks + STEP_TICKS // 2) % STEP_TICKS - STEP_TICKS // 2)
    return float((off <= NEAR_TICKS).mean())


def _starts(reading: Reading) -> NDArray[np.int64]:
    """First ticks of the bars in which there is music."""
    starts = bar_starts(reading.meters, int(reading.ticks.max()) + STEP_TICKS)[0][:-1]
    heard: NDArray[np.int64] = starts[starts >= reading.ticks.min() - STEP_TICKS]
    return heard


def _agreement(right: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """F measure of the found ones, each right within NEAR_TICKS."""
    if not len(right) or not len(found):
        return 0.0
    gaps = np.abs(right[:, None] - found[None, :])
    right_ones = min(int((gaps.min(0) <= NEAR_TICKS).sum()), int((gaps.min(1) <= NEAR_TICKS).sum()))
    return 2.0 * right_ones / (len(right) + len(found))


def _longest(reading: Reading) -> Meter | None:
    """The metre that holds longest."""
    ends = [tick for tick, _ in reading.meters[1:]] + [int(reading.ticks.max())]
    spans = [(end - start, number) for number, ((start, _), end) in enumerate(zip(reading.meters, ends, strict=True))]
    return reading.meters[max(spans)[1]][1]


def tallies(source: Source, most: int, seed: int) -> dict[str, Tally]:
    """A tally of each source of the labels, of at most so many of its files, evenly spread."""
    table = labels_of(source)
    labels = table.rows
    by_source: dict[str, list[str]] = defaultdict(list)
    for path in sorted(labels):
        by_source[labels[path].source].append(path)
    wanted = {
        paths[i]
        for paths in by_source.values()
        for i in np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int).tolist()
    }
    found: dict[str, Tally] = defaultdict(Tally)
    read = source.read(lambda name: MAX_FILE_BYTES if name.removeprefix(table.root) in wanted else 0)
    for number, entry in enumerate(read):
        if entry.data is not None:
            label = labels[entry.path.removeprefix(table.root)]
            try:
                found[label.source].add(read_midi(entry.data), generator(seed, number))
            except UnusableError:
                continue
    return dict(sorted(found.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m offline.notes.byear", description=__doc__)
    parser.add_argument("source", type=Path, help="a folder with labels.csv")
    parser.add_argument("--files", type=int, default=100, metavar="N", help="of each source at most [100]")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    try:
        found = tallies(Source(args.source), max(1, args.files), args.seed)
    except SidemanError as problem:
        print(f"byear: {problem}", file=sys.stderr)
        return 2
    print(
        "| source | files | "
        + " | ".join(KINDS)
        + " | near a sixteenth | by ear | songs moved | metre | bars | found |"
    )
    print("|---|" + "---|" * 10)
    for source, tally in found.items():
        near = np.mean(tally.near, 0)
        row = [source, sum(tally.kinds.values()), *tally.kinds.values(), *(f"{share:.2f}" for share in near)]
        if tally.bars:
            bars = np.array(tally.bars)
            row += [len(bars), f"{np.mean(tally.metre):.2f}", f"{bars.mean():.2f}", f"{(bars > GOOD).mean():.2f}"]
        print("| " + " | ".join(map(str, row)) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
