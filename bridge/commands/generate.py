"""`sideman generate`: bars of a bundle, faster than real time, and the same that `live` plays with the same seed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bridge.files import song as songs
from bridge.files.loopwav import LoopFolder, filed
from bridge.files.song import SongBar, check_path, plain, write_song
from bridge.set import new_seed, parse_meter
from engines.engine import Engine, Request
from engines.errors import SidemanError
from engines.music import Meter
from engines.parameter import Parameters

BARS_MAX = 100_000
PROGRESS_S = 1.0

SHORTCUTS = ("style", "density", "temperature", "top_k", "top_p")
"""Parameters with an option of their own; --set reaches all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to make, and into which files."""
    parser.add_argument("bundle", help="a shipped bundle's name (`sideman bundles`), its folder, or one of loops")
    parser.add_argument("-o", "--output", type=Path, action="append", required=True, metavar="FILE",
                        help=".mid, .jsonl or .wav; may be given several times")  # fmt: skip
    parser.add_argument("--bars", type=int, default=8, metavar="N", help="default: 8")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed makes the same bars; default: a new one")
    parser.add_argument("--bpm", type=float, default=120.0, help="default: 120")
    parser.add_argument("--meter", default="4/4", help="default: 4/4")
    parser.add_argument("--fill-every", type=int, default=0, metavar="N", help="each so many bars a fill")
    for name in SHORTCUTS:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", help=f"the same as --set {name}=X")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any parameter of the bundle")
    parser.add_argument("--runtime", default="auto", choices=("auto", "int8", "fp32", "torchscript"),
                        help="default: auto, the quickest")  # fmt: skip
    songs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the bars and write them. Raises SidemanError."""
    from engines.bundle import find
    from engines.registry import engine_for, opened

    if not 1 <= args.bars <= BARS_MAX:
        raise SidemanError(f"--bars takes a whole number from 1 to {BARS_MAX}, not {args.bars}")
    if args.fill_every < 0:
        raise SidemanError(f"--fill-every takes a number of bars, or 0, not {args.fill_every}")
    songs.check_arguments(args)
    for path in args.output:
        check_path(path)
    meter = parse_meter(args.meter)
    seed = new_seed() if args.seed is None else args.seed
    folder = find(args.bundle)
    engine, description = opened(engine_for(folder), folder, args.runtime)
    for trouble in getattr(engine, "troubles", ()):
        print(f"sideman: {trouble}", file=sys.stderr)
    parameters = Parameters(engine.parameters)
    for name, value in (*_shortcuts(args), *_settings(args.set)):
        parameters.set(name, value)
    with tempfile.TemporaryDirectory() as loops:
        bars = generated(
            engine, parameters, meter, args.bpm,
            seed=seed, bars=args.bars, fill_every=args.fill_every, loops=LoopFolder(Path(loops)),
        )  # fmt: skip
        song = [plain(bar, args.velocity, args.note_length) for bar in _shown(bars, args.bars)]
        for path in args.output:
            write_song(path, song, args.soundfont)
    print(f"{', '.join(map(str, args.output))}: {args.bars} bars of {description.rpartition(' · ')[2]}, seed {seed}")
    return 0


def generated(
    engine: Engine,
    parameters: Parameters,
    meter: Meter,
    tempo_bpm: float,
    *,
    seed: int,
    bars: int,
    fill_every: int = 0,
    loops: LoopFolder | None = None,
) -> Iterator[SongBar]:
    """The first bars of a song, each asked for as the live planner asks for it when none is late.

    loops: where those of an engine of audio are written.
    """
    state = engine.start(seed)
    for bar in range(bars):
        request = Request(
            bar=bar,
            start_tick=bar * meter.bar_ticks,
            length_ticks=meter.bar_ticks,
            meter=meter,
            tempo_bpm=tempo_bpm,
            parameters=parameters.snapshot(),
            seed=seed,
            fill=fill_every > 0 and (bar + 1) % fill_every == 0,
        )
        chunk, state = engine.generate(request, state)
        yield SongBar(meter, tempo_bpm, filed(chunk, request, loops))


def _shortcuts(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    return ((name, getattr(args, name)) for name in SHORTCUTS if getattr(args, name) is not None)


def _settings(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """--set NAME=VALUE; a player's name before a dot is live's, and there is only one here."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SidemanError(f"--set {text}: write it like --set temperature=0.9")
        yield name.strip(), value.strip()


def _shown(bars: Iterable[SongBar], total: int) -> Iterator[SongBar]:
    """The bars, with their number shown now and then if it takes long and somebody watches."""
    watched = sys.stderr.isatty()
    shown_s = time.monotonic()
    for number, bar in enumerate(bars, start=1):
        if watched and time.monotonic() - shown_s > PROGRESS_S:
            shown_s = time.monotonic()
            print(f"\rbar {number} of {total}", end="" if number < total else "\n", file=sys.stderr, flush=True)
        yield bar
