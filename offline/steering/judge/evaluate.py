"""`sideman evaluate steering BUNDLE --directions FOLDER --data CONCEPTS`: does what is heard have the concept?

Takes of a bundle, as a user hears them, are judged by estimators that know nothing of the model, beside how they do on
sounds that are known, unsteered takes, random directions, and what else becomes of the sound.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from engines.bundle import Bundle, find
from engines.errors import SidemanError
from engines.musicgen.direction import Selection
from engines.musicgen.model import MusicgenModel
from engines.musicgen.parameters import settings_of
from engines.musicgen.shape import Shape
from offline.csvfile import write_csv
from offline.data.workers import cores, each
from offline.steering.judge.basicpitch import network_file
from offline.steering.judge.cells import METHODS, PROMPTS, Cell, Plan, Source, cells_of, digest, directions_of
from offline.steering.judge.compare import compared
from offline.steering.judge.figures import Findings, Rows, source_row, tempo_ranks
from offline.steering.judge.hearing import Heard
from offline.steering.judge.known import Hearing, probe_of, sources_of
from offline.steering.judge.making import found, made, write_sounds
from offline.steering.judge.table import by_class, plain, whole
from offline.steering.progress import told

STRENGTHS, CLIPS, SECONDS, BATCH, ADHERENCE, KNOWN, LISTEN = (0.02, 0.05, 0.1), 64, 4.0, 64, 16, 96, 2
CLIPS_MAX, SECONDS_MAX, STRENGTHS_MAX = 4096, 30.0, 16
TABLE, RANKS, COMPARED, CEILINGS = "steering.csv", "tempo.csv", "compared.csv", "ceilings.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate steering`."""
    parser.add_argument("bundle", help="of sideman export musicgen: its folder, or a shipped one's name")
    parser.add_argument("--directions", type=Path, required=True, metavar="FOLDER", help="of train steering, and in it")
    parser.add_argument(
        "--data", type=Path, metavar="DATASET", help="of prepare steering: for ceilings and the seed's probe [neither]"
    )
    parser.add_argument("--concepts", nargs="+", default=[], metavar="WORD", help="note, note:C, chord, tempo [all]")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, help="[all]")
    parser.add_argument("--strengths", type=float, nargs="+", default=list(STRENGTHS), metavar="X", help="[.02 .05 .1]")
    parser.add_argument("--units", choices=("rms", "raw"), default="rms", help="of the strengths [rms]")
    parser.add_argument("--layers", choices=("all", "top", "weighted"), default="all", help="[all]")
    parser.add_argument("--top", type=int, default=16, metavar="K", help="layers of --layers top [16]")
    parser.add_argument("--clips", type=int, default=CLIPS, metavar="N", help=f"of each cell [{CLIPS}]")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"of each clip [{SECONDS:g}]")
    parser.add_argument("--prompts", nargs="+", metavar="TEXT", help="in turn [some that name nothing that is steered]")
    parser.add_argument("--guidance", type=float, help="[the bundle's]")
    parser.add_argument("--temperature", type=float, help="[the bundle's]")
    parser.add_argument("--top-k", type=int, help="[the bundle's]")
    parser.add_argument(
        "--adherence", type=int, default=ADHERENCE, metavar="N",
        help=f"clips of each cell whose likelihood under the text is told, 0 for none [{ADHERENCE}]",
    )  # fmt: skip
    parser.add_argument("--known", type=int, default=KNOWN, metavar="N", help=f"clips of each ceiling [{KNOWN}]")
    parser.add_argument("--seed", type=int, default=0, help="of the first take and of intervals [0]")
    parser.add_argument("--runtime", default="auto", choices=("auto", "int4", "int8", "fp32", "torchscript"),
                        help="[auto, what a user hears]")  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes; 0 works in this one [one a core]")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"takes at a time [{BATCH}]")
    parser.add_argument(
        "--listen", type=int, default=LISTEN, metavar="N", help=f"takes a cell written as WAV [{LISTEN}]"
    )
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="codes and judgements by cell [OUTPUT/.cells]")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs") / "steering" / "judged", metavar="FOLDER",
                        help="[runs/steering/judged]")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Evaluate; 1 where a cell failed, 130 after Ctrl-C. Raises SidemanError for a mistake."""
    _check(args)
    bundle = Bundle.load(find(args.bundle))
    if bundle.manifest.engine != "musicgen":
        raise SidemanError(f"{args.bundle} is for the engine {bundle.manifest.engine}, not for musicgen")
    shape = MusicgenModel.load(bundle, args.runtime).shape
    if args.seconds > (shape.positions - shape.delay.longest) / shape.frame_rate_hz:
        raise SidemanError(f"--seconds {args.seconds:g}: the model counts to {shape.positions} positions; ask for less")
    directions, unknown = directions_of(args.directions, args.concepts, args.methods)
    for _, direction in directions.values():
        direction.must_fit(shape.model_hash, shape.layers, shape.width)
    if unknown:
        print(f"no judge knows {', '.join(unknown)[:200]}; left out", file=sys.stderr)
    prompts = {kind: tuple(args.prompts or texts) for kind, texts in PROMPTS.items()}
    cells = list(cells_of(directions, args.strengths, prompts))
    kinds = list(dict.fromkeys(cell.kind for cell in cells))
    if set(kinds) - {"tempo"}:
        network_file()
    plan = _plan(args, bundle, shape, kinds)
    known = sources_of(args.data, kinds, args.known, args.seed) if args.data is not None else []
    try:
        troubles = _make(plan, [*known, *cells], cores() if args.workers is None else args.workers)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    heard = {cell: said for cell in cells if (said := found(plan, cell)) is not None}
    ceilings = _said([source_row(each, said, args.seed) for each in known if (said := found(plan, each)) is not None])
    _tell(args, heard, ceilings, kinds)
    if args.listen:
        write_sounds(plan, heard, args.output / "sounds", args.listen)
    for name, trouble in troubles.items():
        print(f"failed: {name}: {trouble}", file=sys.stderr)
    print(f"written to {args.output}")
    return 1 if troubles else 0


def _plan(args: argparse.Namespace, bundle: Bundle, shape: Shape, kinds: Sequence[str]) -> Plan:
    cache = args.cache or args.output / ".cells"
    cache.mkdir(parents=True, exist_ok=True)
    probes: list[tuple[str, Path]] = []
    if args.data is not None:
        how = Hearing(args.data, shape.rate_hz, args.seconds, args.seed)
        for kind in kinds:
            path = probe_of(how, kind, cache)
            if path is not None:
                probes.append((kind, path))
    return Plan(
        bundle=bundle.path, model=digest(sorted(bundle.manifest.sha256.items())), runtime=args.runtime,
        clips=args.clips, seconds=args.seconds, seed=args.seed, batch=args.batch, adherence=args.adherence,
        settings=settings_of(bundle, args.guidance, args.temperature, args.top_k),
        selection=Selection(args.layers, args.top), units=args.units, cache=cache, probes=tuple(probes),
    )  # fmt: skip


def _make(plan: Plan, cells: Sequence[Cell | Source], workers: int) -> dict[str, str]:
    """Make and hear all that is not in the cache; what went wrong, by cell."""
    left = [cell for cell in cells if found(plan, cell) is None]
    troubles: dict[str, str] = {}
    began_s = time.monotonic()
    for done, (cell, trouble) in enumerate(each(partial(made, plan), left, min(workers, len(left))), start=1):
        if trouble:
            troubles[cell.name(plan)] = str(trouble)
            print(f"\nfailed: {cell.name(plan)}: {trouble}", file=sys.stderr)
        minutes = (time.monotonic() - began_s) / done * (len(left) - done) / 60
        told(f"{done} of {len(left)} cells, {minutes:.0f} min left", done == len(left), logged=done % 5 == 0)
    return troubles


def _tell(args: argparse.Namespace, heard: dict[Cell, Heard], ceilings: Rows, kinds: Sequence[str]) -> None:
    """Write the CSVs and print the tables."""
    args.output.mkdir(parents=True, exist_ok=True)
    every: Rows = []
    ranks: Rows = []
    pairs: Rows = []
    if ceilings:
        print(f"how right the judges are of known sounds\n{plain(ceilings)}\n")
    for kind in kinds:
        findings = Findings.of(kind, heard, args.clips, args.seed)
        rows = _said(findings.rows())
        if not rows:
            print(f"{kind}: nothing came of it\n")
            continue
        print(whole(findings, rows) + "\n")
        if len(findings.concepts) > 1:
            print(by_class(findings, rows) + "\n")
        own = _said(tempo_ranks(findings)) if kind == "tempo" else []
        if own:
            print(f"rank correlation of strength and tempo\n{plain(own)}\n")
        ranks += own
        own = _said(compared(findings))
        if own:
            print(f"rfm against the others, on takes that did not choose the strength\n{plain(own)}\n")
        pairs += own
        every += rows
    for name, rows in ((TABLE, every), (RANKS, ranks), (COMPARED, pairs), (CEILINGS, ceilings)):
        if rows:
            write_csv(args.output / name, rows)


def _said(rows: Rows) -> Rows:
    """Without figures of nothing."""
    return [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in rows
    ]


def _check(args: argparse.Namespace) -> None:
    """Raise SidemanError for what cannot be."""
    if not all(math.isfinite(each) and each > 0 for each in args.strengths) or len(args.strengths) > STRENGTHS_MAX:
        raise SidemanError(f"--strengths are up to {STRENGTHS_MAX} numbers above 0; unsteered takes are always made")
    ranges = {"clips": (2, CLIPS_MAX), "batch": (1, 1024), "adherence": (0, CLIPS_MAX), "known": (1, 10_000),
              "listen": (0, 1000), "top": (1, 512), "seed": (0, 1 << 32)}  # fmt: skip
    for name, (low, high) in ranges.items():
        if not low <= getattr(args, name) <= high:
            raise SidemanError(f"--{name} {getattr(args, name)} goes from {low} to {high}")
    if not 2.0 <= args.seconds <= SECONDS_MAX:
        raise SidemanError(f"--seconds {args.seconds:g} goes from 2, which a tempo takes, to {SECONDS_MAX:g}")
    if args.workers is not None and not 0 <= args.workers <= 256:
        raise SidemanError(f"--workers {args.workers} goes from 0 to 256")
