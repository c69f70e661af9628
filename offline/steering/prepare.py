"""`sideman prepare steering`: the sets of concepts that steering learns from, synthesised or read from SynTheory.

Writes clips and index.parquet (offline/steering/index.py); how they are split is told in offline/steering/split.py.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from engines.errors import SidemanError
from offline.data.fluidsynth import find_font, library
from offline.data.workers import cores
from offline.steering.choose import choose
from offline.steering.index import INDEX, Row, write_index
from offline.steering.recipe import CLIP_S, SETS, clips
from offline.steering.split import SPLITS
from offline.steering.syntheory import read_syntheory
from offline.steering.synthesise import Made, synthesise

RATES_HZ = (8_000, 96_000)
MAX_SIZE = 1_000_000
_MAX_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman prepare steering`."""
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="SYNTHEORY",
        help="a local copy of meganwei/syntheory (folders of .parquet) to read; without it everything is synthesised",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where clips and index go")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help=f"some of {', '.join(SETS)} [all]")
    parser.add_argument(
        "--size", type=int, default=0, metavar="N",
        help="clips of each set, as many of each class, 60 %% to train [all: 99,065 clips, 25 GB at 32 kHz]",
    )  # fmt: skip
    parser.add_argument("--font", type=Path, metavar="FILE.sf2", help="sound font [TimGM6mb, as SynTheory]")
    parser.add_argument(
        "--unseen-font", type=Path, metavar="FILE.sf2", help="a second sound font: test clips are made with it as well"
    )
    parser.add_argument("--rate", type=int, default=32_000, metavar="HZ", help="sample rate of the clips [32000]")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; 0 works in this one [one a core]")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")


def run(args: argparse.Namespace) -> int:
    """Prepare; returns 0. Raises SidemanError for a mistake."""
    workers = cores() if args.workers is None else args.workers
    _check(args, workers)
    began = time.perf_counter()
    if args.source is not None:
        made = read_syntheory(args.source, args.output, args.sets, args.size, args.rate, progress=not args.quiet)
    else:
        made = _synthesised(args, workers)
    write_index(args.output, made.rows)
    print(render(made, time.perf_counter() - began))
    print(f"{args.output / INDEX}: learn a direction with: sideman train steering {args.output} --concept note:C")
    return 0


def _synthesised(args: argparse.Namespace, workers: int) -> Made:
    library()  # a machine without FluidSynth says so before anything is begun
    font = find_font(args.font)
    chosen = [clip for name in args.sets for clip in choose(clips(name), args.size)]
    fonts = {font: chosen}
    if args.unseen_font is not None:
        unseen = find_font(args.unseen_font)
        if unseen.name == font.name:
            raise SidemanError(f"--unseen-font {unseen} is the font that the other clips are made with")
        fonts[unseen] = [clip for clip in chosen if clip.split == "test"]
    return synthesise(args.output, fonts, args.rate, workers, progress=not args.quiet)


def _check(args: argparse.Namespace, workers: int) -> None:
    if unknown := [name for name in args.sets if name not in SETS]:
        raise SidemanError(f"--sets: there is no {unknown[0]!r}; there are {', '.join(SETS)}")
    args.sets = [name for name in SETS if name in args.sets]
    if not 0 <= args.size <= MAX_SIZE:
        raise SidemanError(f"--size {args.size} must be from 1 to {MAX_SIZE:,}, or 0 for all")
    low, high = RATES_HZ
    if not low <= args.rate <= high:
        raise SidemanError(f"--rate {args.rate} must be from {low} to {high}")
    if not 0 <= workers <= _MAX_WORKERS:
        raise SidemanError(f"--workers {workers} must be from 0 to {_MAX_WORKERS}")
    if args.output.exists() and not args.output.is_dir():
        raise SidemanError(f"{args.output} is a file; name a folder for the clips")


def render(made: Made, seconds: float) -> str:
    """The report: clips by set and split, what is silent, and how long it took."""
    counts = Counter((row.set, row.split) for row in made.rows)
    lines = [f"{'clips':<16}" + "".join(f"{split:>12}" for split in SPLITS)]
    for name in SETS:
        if any(counts[name, split] for split in SPLITS):
            lines.append(f"  {name:<14}" + "".join(f"{counts[name, split]:>12,}" for split in SPLITS))
    fonts = sorted({row.font for row in made.rows if row.font})
    lines.append(f"{_hours(made.rows)} at {made.rows[0].rate_hz if made.rows else 0:,} Hz; {', '.join(fonts)}")
    lines.append(f"{made.new:,} new, {made.old:,} there before, {made.silent:,} silent and left out")
    rate = made.new * CLIP_S / max(seconds, 1e-9)
    lines.append(f"{seconds:.0f} s" + (f", {rate:.0f} times as fast as it plays" if made.new else ""))
    return "\n".join(lines)


def _hours(rows: list[Row]) -> str:
    return f"{sum(row.seconds for row in rows) / 3600:.2f} h"
