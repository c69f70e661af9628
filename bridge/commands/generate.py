"""`sideman generate`: bars of a bundle, faster than real time, and the same that `live` plays with the same seed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from bridge.commands.making import TEMPO_BPM, Plan, continued, infilled, made, parse_bars, prompt_for
from bridge.files import song as songs
from bridge.files.loopwav import LoopFolder
from bridge.files.song import SongBar, check_path, plain, write_song
from bridge.set import new_seed, parse_meter
from engines.engine import Engine
from engines.errors import SidemanError
from engines.parameter import Parameters

BARS, BARS_MAX = 8, 100_000
PROGRESS_S = 1.0

SHORTCUTS = ("style", "genre", "blend", "density", "temperature", "top_k", "top_p")
"""Parameters with an option of their own; --set reaches all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to make, and into which files."""
    parser.epilog = "Sound of a text has options of its own: sideman generate musicgen BUNDLE --prompt TEXT -o FILE.wav"
    parser.add_argument("bundle", help="a shipped bundle's name (`sideman bundles`), its folder, or one of loops")
    parser.add_argument("-o", "--output", type=Path, action="append", required=True, metavar="FILE",
                        help=".mid, .jsonl or .wav; may be given several times")  # fmt: skip
    parser.add_argument("--bars", type=int, metavar="N", help=f"default: {BARS}")
    parser.add_argument("--max-notes", type=int, default=0, metavar="N", help="end with so many notes, if bars do not")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed makes the same bars; default: a new one")
    parser.add_argument("--bpm", type=float, help=f"default: the prompt's, or {TEMPO_BPM:g}")
    parser.add_argument("--meter", help="default: the prompt's, or 4/4")
    parser.add_argument("--fill-every", type=int, default=0, metavar="N", help="each so many bars a fill")
    parser.add_argument("--prompt", type=Path, metavar="FILE.mid", help="go on from these bars, which come first")
    parser.add_argument("--infill", metavar="N[-M]", help="make these bars of the prompt anew, and keep the others")
    parser.add_argument("--new-only", action="store_true", help="write the new bars without the prompt's")
    for name in SHORTCUTS:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", help=f"the same as --set {name}=X")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any parameter of the bundle")
    parser.add_argument("--runtime", default="auto", choices=("auto", "int4", "int8", "fp32", "torchscript"),
                        help="default: auto, the quickest")  # fmt: skip
    songs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the bars and write them. Raises SidemanError."""
    from engines.bundle import find
    from engines.registry import engine_for, opened

    _check(args)
    folder = find(args.bundle)
    engine, description = opened(engine_for(folder), folder, args.runtime)
    for trouble in getattr(engine, "troubles", ()):
        print(f"sideman: {trouble}", file=sys.stderr)
    parameters = Parameters(engine.parameters)
    for name, value in (*_shortcuts(args), *_settings(args.set)):
        parameters.set(name, value)
    plan = _plan(args, engine)
    with tempfile.TemporaryDirectory() as loops:
        bars = made(engine, parameters, plan, LoopFolder(Path(loops)))
        new = [plain(bar, args.velocity, args.note_length) for bar in _shown(bars, len(plan.places))]
        song = new if args.new_only else [*plan.before, *new, *plan.after]
        for path in args.output:
            write_song(path, song, args.soundfont)
    print(
        f"{', '.join(map(str, args.output))}: {len(new)} bars of {description.rpartition(' · ')[2]}, seed {plan.seed}"
    )
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise SidemanError, before any work is done, for what cannot be."""
    if args.bars is not None and not 1 <= args.bars <= BARS_MAX:
        raise SidemanError(f"--bars takes a whole number from 1 to {BARS_MAX}, not {args.bars}")
    for name in ("fill_every", "max_notes"):
        if getattr(args, name) < 0:
            raise SidemanError(f"--{name.replace('_', '-')} takes a number, or 0, not {getattr(args, name)}")
    if args.infill is not None and args.prompt is None:
        raise SidemanError("--infill makes bars of a file anew; give it with --prompt FILE.mid")
    for name in ("bars", "meter", "bpm", "max_notes"):
        if args.infill is not None and getattr(args, name):
            raise SidemanError(f"--infill makes whole bars of the prompt's; leave --{name.replace('_', '-')} out")
    songs.check_arguments(args)
    for path in args.output:
        check_path(path)


def _plan(args: argparse.Namespace, engine: Engine) -> Plan:
    """The bars that are asked for. Raises SidemanError."""
    seed = new_seed() if args.seed is None else args.seed
    prompt = [] if args.prompt is None else prompt_for(engine, args.prompt)
    if args.infill is not None:
        plan = infilled(prompt, seed, parse_bars(args.infill))
    else:
        meter = None if args.meter is None else parse_meter(args.meter)
        plan = continued(prompt, seed, args.bars or BARS, meter, args.bpm)
    return replace(plan, fill_every=args.fill_every, notes_max=args.max_notes)


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
