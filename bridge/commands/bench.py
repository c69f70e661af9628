"""`sideman bench`: speed and size on this machine, each against its target (docs/LIVE.md names them).

Ratios compare two things measured in one run. What this machine lacks is left out with a line that says so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.commands.bench_audio import audio_rows
from bridge.commands.bench_band import band_rows
from bridge.commands.bench_bars import bar_rows
from bridge.commands.bench_clicks import click_rows
from bridge.commands.bench_clock import clock_rows
from bridge.commands.bench_jack import jack_rows
from bridge.commands.bench_link import link_rows
from bridge.commands.bench_musicgen import musicgen_rows
from bridge.commands.bench_notes import note_rows
from bridge.commands.bench_steered import steered_rows
from bridge.commands.figures import Row
from bridge.commands.live_figures import LiveFigures, measure_live
from bridge.commands.probe import stage_lateness
from bridge.messages.worker import Load
from engines.bundle import Bundle, shipped
from engines.errors import SidemanError

LATE_TARGET_MS = 0.5
START_TARGET_S = 2.0
IDLE_CPU_TARGET_PERCENT = 3.0
WORKER_TARGET_MB = 150.0
FLAT_OUT_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """How long to measure, and what.

    seed_model: with the seed's way of making a bar beside ours; notes, remi: bundles of notes, the product's and the
    flat GPT's; texture: a bundle of MusicGen's
    """

    bars: int
    seconds: float
    seed_model: bool
    notes: str = "notes"
    remi: str = "remi"
    texture: str = "texture"


PARTS: dict[str, Callable[[Wanted], Iterator[Row]]] = {
    "bars": lambda wanted: bar_rows(wanted.bars, wanted.seed_model),
    "notes": lambda wanted: note_rows(wanted.bars, wanted.seconds, wanted.notes, wanted.remi),
    "musicgen": lambda wanted: musicgen_rows(wanted.seconds, wanted.texture),
    "dispatch": lambda wanted: lateness_rows(wanted.seconds, flat_out_loads()),
    "jack": lambda wanted: jack_rows(wanted.seconds, flat_out_loads()),
    "link": lambda wanted: link_rows(wanted.seconds),
    "clock": lambda wanted: clock_rows(),
    "sound": lambda wanted: audio_rows(wanted.seconds, flat_out_loads()),
    "clicks": lambda wanted: click_rows(wanted.seconds),
    "live": lambda wanted: live_rows(wanted.seconds),
    "band": lambda wanted: band_rows(wanted.seconds),
    "steered": lambda wanted: steered_rows(wanted.seconds, wanted.texture),
}
"""What can be measured, in the order in which it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, and how long."""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} [all]")
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="PART",
                        help=f"measure {', '.join(PARTS)}; may be given several times")  # fmt: skip
    parser.add_argument("--bars", type=int, default=400, metavar="N", help="bars of each bundle (400)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each measurement in time (5)")
    parser.add_argument("--seed-model", action=argparse.BooleanOptionalAction, default=True,
                        help="compare with keras predict at each step, where keras is installed")  # fmt: skip
    parser.add_argument("--notes", default="notes", metavar="BUNDLE", help="of notes, to measure (notes)")
    parser.add_argument("--remi", default="remi", metavar="BUNDLE", help="of the flat GPT, to measure (remi)")
    parser.add_argument("--texture", default="texture", metavar="BUNDLE", help="of MusicGen's, to measure (texture)")


def run(args: argparse.Namespace) -> int:
    """Print the table as it grows; 1 if a target was missed."""
    if args.bars < 10 or not 1.0 <= args.seconds <= 600.0:
        raise SidemanError("bench takes --bars of 10 or more and --seconds from 1 to 600")
    parts = [*args.parts, *(args.only or [])]
    if unknown := [part for part in parts if part not in PARTS]:
        raise SidemanError(f"bench has no part {unknown[0]}; it has {', '.join(PARTS)}")
    missed = 0
    wanted = Wanted(args.bars, args.seconds, args.seed_model, args.notes, args.remi, args.texture)
    for row in rows(wanted, parts or list(PARTS)):
        missed += row.passed is False
        print(row, flush=True)
    return int(missed > 0)


def rows(wanted: Wanted, parts: list[str]) -> Iterator[Row]:
    """Every figure of the parts, in the order in which it is measured."""
    yield Row("this machine", machine())
    for part, measure in PARTS.items():
        if part in parts:
            yield from measure(wanted)


def machine() -> str:
    """Cores, and how busy it is already: the figures mean something on a machine that is not."""
    cores = os.cpu_count() or 1
    if not hasattr(os, "getloadavg"):
        return f"{cores} cores"
    load = os.getloadavg()[0]
    return f"{cores} cores, load {load:.1f}" + (": busy with other things" if load > cores / 2 else "")


def flat_out_loads() -> list[Load]:
    """Workers with a shipped bundle, to keep the machine busy."""
    folder = next(iter(shipped()), None)
    if folder is None:
        return []
    engine = Bundle.load(folder).manifest.engine
    return [Load(engine, str(folder), "auto", seed) for seed in range(FLAT_OUT_WORKERS)]


def lateness_rows(seconds: float, flat_out: list[Load]) -> Iterator[Row]:
    """How late events leave a stage: idle and with workers flat out, with and without real-time priority."""
    for realtime in (True, False):
        for load in ([], flat_out) if flat_out else ([],):
            status = asyncio.run(stage_lateness(seconds, realtime, load))
            if realtime and not status.realtime:
                yield Row("dispatch, real-time priority", "not granted here; `sideman doctor` names the command")
                break
            how = "real-time" if realtime else "ordinary priority"
            doing = f"{len(load)} workers flat out" if load else "idle"
            held = realtime and bool(load)
            yield Row(
                f"dispatch, {how}, {doing}",
                f"p50 {status.late_p50_us / 1e3:.2f} ms, p99 {status.late_p99_us / 1e3:.2f} ms",
                f"p99 <= {LATE_TARGET_MS:g} ms" if held else "",
                status.late_p99_us / 1e3 <= LATE_TARGET_MS if held else None,
            )


def live_rows(seconds: float) -> Iterator[Row]:
    """A real `sideman live` with one player: how soon it plays, and what it costs."""
    live: LiveFigures = measure_live(seconds)
    yield Row("start to first bar", f"{live.start_s:.2f} s", f"<= {START_TARGET_S:g} s", live.start_s <= START_TARGET_S)
    if live.cpu_percent is None or live.worker_mb is None:
        yield Row("CPU and memory", "not measured: this system has no /proc")
        return
    yield Row(
        "CPU while one player plays, all processes",
        f"{live.cpu_percent:.1f} % of a core",
        f"<= {IDLE_CPU_TARGET_PERCENT:g} %",
        live.cpu_percent <= IDLE_CPU_TARGET_PERCENT,
    )
    yield Row(
        "memory of the worker", f"{live.worker_mb:.0f} MB", f"<= {WORKER_TARGET_MB:g} MB",
        live.worker_mb <= WORKER_TARGET_MB,
    )  # fmt: skip
    for name, cpu_percent, megabytes in live.processes:
        yield Row(f"  {name}", f"{cpu_percent:.1f} %, {megabytes:.0f} MB")
