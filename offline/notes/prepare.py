"""`sideman prepare notes`: a folder or archive of MIDI files to a data set of notes and a report of every file."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from engines.errors import SidemanError
from offline.data.source import Source
from offline.data.workers import cores
from offline.notes.gather import Reader, divide, nothing
from offline.notes.genres import read_genres
from offline.notes.report import render, report_of
from offline.notes.tokens import MAX_BARS, Tokeniser
from offline.notes.write import genres_of, write

PARTS = ".parts"
_MAX_WORKERS = 256
_MAX_BARS_RANGE = (1, 8192)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman prepare notes`."""
    parser.add_argument("source", type=Path, help="folder or archive (.zip, .tar, .tar.gz, .tar.zst) of MIDI files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the data set goes")
    parser.add_argument(
        "--genres", type=Path, metavar="TABLE.csv",
        help="genres of files without labels, by artist (the name of their folder) or path, as for Lakh's clean_midi",
    )  # fmt: skip
    parser.add_argument("--no-nc", action="store_true", help="leave out files whose licence is non-commercial")
    parser.add_argument("--no-tokens", action="store_true", help="leave out the tokens of the seed's model: faster")
    parser.add_argument(
        "--max-bars", type=int, default=MAX_BARS, metavar="N", help=f"numbered bars in the tokens [{MAX_BARS}]"
    )
    parser.add_argument(
        "--max-len", type=int, default=0, metavar="N", help="cut the tokens of a file after N (the seed: 2048) [all]"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; 0 works in this one [one a core]")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")


def run(args: argparse.Namespace) -> int:
    """Prepare; returns 0. Raises SidemanError at a source that gives no notes."""
    workers = cores() if args.workers is None else args.workers
    _check(args, workers)
    parts = args.output / PARTS
    reader = Reader(
        Source(args.source), parts, read_genres(args.genres) if args.genres else None, workers,
        no_nc=args.no_nc, tokens=not args.no_tokens, progress=not args.quiet,
    )  # fmt: skip
    started = time.perf_counter()
    found = reader.gather()
    seconds = time.perf_counter() - started
    if not found.parts:
        shutil.rmtree(parts)
        raise nothing(args.source, found)
    used, duplicates = divide(found)
    tokeniser = None if args.no_tokens else Tokeniser(args.max_bars, genres_of(used))
    report = report_of(args.source.name, found, used, duplicates, tokeniser)
    write(args.output, used, tokeniser, args.max_len, report)
    shutil.rmtree(parts)
    print(render(report))
    print(_speed(len(found.parts) - found.resumed, found.resumed, seconds, workers))
    return 0


def _check(args: argparse.Namespace, workers: int) -> None:
    low, high = _MAX_BARS_RANGE
    if not low <= args.max_bars <= high:
        raise SidemanError(f"--max-bars {args.max_bars} must be from {low} to {high}")
    if args.max_len < 0 or args.max_len == 1:
        raise SidemanError(f"--max-len {args.max_len} must be 2 or more, or 0 for all")
    if not 0 <= workers <= _MAX_WORKERS:
        raise SidemanError(f"--workers {workers} must be from 0 to {_MAX_WORKERS}")
    if args.output.exists() and not args.output.is_dir():
        raise SidemanError(f"{args.output} is a file; name a folder for the data set")


def _speed(read: int, resumed: int, seconds: float, workers: int) -> str:
    by = f"{workers} workers" if workers > 1 else "one process"
    before = f", {resumed:,} by an earlier run" if resumed else ""
    return f"{read:,} files read in {seconds:.0f} s by {by}: {read / max(seconds, 1e-9):.3g} a second{before}"
