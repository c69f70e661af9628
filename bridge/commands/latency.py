"""`sideman latency`: how long it is, for each player and output, from asking for a bar until it can be heard.

A sum of named parts, each measured or known here (docs/LIVE.md, Latency): planning is the time kept free for messages
on their way, a bar the 99th percentile of its making in a worker, the queue how far ahead the output is handed its
events, the device what it says of itself, compensation what the set's latency_ms sends earlier still. What plays is
made a bar ahead and is not late: the sum says how long before a bar line a change is still heard in that bar.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.files.setread import load_set
from bridge.messages.stage import PlayerSetup
from bridge.set import PlayerSet, Set, check_plugins, default_set
from bridge.stage.outputs.output import HasDevice, Output, make_output
from bridge.stage.rack import Rack
from engines.errors import SidemanError

CLIENT_NAME = "sideman latency"
LOOPS_KEPT = 4
SEED = 1
SIXTEENTHS_A_BEAT = 4
COLUMNS = ("planning", "bar p99", "queue", "device", "compens.", "sum", "sixteenths")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the latency of a player on an output is made of, in ms."""

    planning_ms: float
    bar_p99_ms: float
    queue_ms: float
    device_ms: float
    compensation_ms: float

    @property
    def sum_ms(self) -> float:
        """All of it."""
        return sum(self.figures)

    @property
    def figures(self) -> tuple[float, ...]:
        """Each, in the order of COLUMNS."""
        return (self.planning_ms, self.bar_p99_ms, self.queue_ms, self.device_ms, self.compensation_ms)

    def sixteenths(self, tempo_bpm: float) -> float:
        """The sum in sixteenths at a tempo."""
        return self.sum_ms / 60_000 * tempo_bpm * SIXTEENTHS_A_BEAT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which set, and how well to measure."""
    parser.add_argument("file", nargs="?", type=Path, metavar="SET", help="a set file (`sideman init` writes one)")
    parser.add_argument("--bars", type=int, default=200, metavar="N", help="bars that each player makes for it (200)")


def run(args: argparse.Namespace) -> int:
    """Print a table; 1 if a player or an output could not be had."""
    if not 10 <= args.bars <= 100_000:
        raise SidemanError(f"--bars takes a whole number from 10 to 100000, not {args.bars}")
    set_ = default_set() if args.file is None else load_set(args.file)
    check_plugins(set_)
    print(f"ms, at {set_.tempo_bpm:g} bpm, where a sixteenth is {15_000 / set_.tempo_bpm:.1f} ms")
    print(f"{'player and output':<34}" + "".join(f"{column:>11}" for column in COLUMNS))
    whole = True
    for name, found in measured(set_, args.bars):
        if isinstance(found, str):
            whole = False
            print(f"{name:<34} not here: {found}", flush=True)
            continue
        figures = "".join(f"{ms:>11.1f}" for ms in (*found.figures, found.sum_ms))
        print(f"{name:<34}{figures}{found.sixteenths(set_.tempo_bpm):>11.2f}", flush=True)
    return int(not whole)


def measured(set_: Set, bars: int) -> Iterator[tuple[str, Parts | str]]:
    """("player output", its parts) for each there is; or the reason why it cannot be measured here."""
    from bridge.players.deadline import MARGIN_S

    for name, player in set_.players.items():
        try:
            bar_p99_ms = _bar_p99_ms(player, set_, bars)
        except SidemanError as error:
            yield name, str(error)
            continue
        for text, found in _outputs(name, player):
            if isinstance(found, str):
                yield f"{name} {text}", found
                continue
            option = set_.outputs.get(text)
            compensation_ms = option.latency_ms if option else 0.0
            yield f"{name} {text}", Parts(MARGIN_S * 1000, bar_p99_ms, *found, compensation_ms)


def _bar_p99_ms(player: PlayerSet, set_: Set, bars: int) -> float:
    """How long the player's engine takes for a bar, or a span of its chunk, in a worker, there and back."""
    from bridge.commands.figures import percentile
    from bridge.commands.flat_out import bar_times
    from bridge.messages.worker import Load
    from engines.bundle import find

    bundle = str(find(player.bundle)) if player.bundle else ""
    tempo_mbpm = round(set_.tempo_bpm * 1000)
    with tempfile.TemporaryDirectory() as folder:  # for the bars of a player of sound
        load = Load(
            player.engine, bundle, player.runtime, SEED, folder, LOOPS_KEPT, player.chunk, set_.meter, tempo_mbpm,
            player.device,
        )  # fmt: skip
        return percentile(asyncio.run(bar_times(load, bars)), 99) * 1000


def _outputs(name: str, player: PlayerSet) -> Iterator[tuple[str, tuple[float, float] | str]]:
    """Each output with how far ahead it is handed its events, and how long its device takes, in ms.

    It is opened to be asked, and closed again. What does not tell is a matter for `sideman calibrate`.
    """

    setups = player.output_setups()
    rack = Rack(CLIENT_NAME)
    try:
        for text, setup in zip(player.outputs, setups, strict=True):
            try:
                output = make_output(setup, PlayerSetup(name, setups, player.channel), rack)
                try:
                    output.open()
                    yield text, _queue_and_device_ms(output)
                finally:
                    output.close()
            except SidemanError as error:
                yield text, str(error)
    finally:
        rack.close()


def _queue_and_device_ms(output: Output) -> tuple[float, float]:
    if isinstance(output, HasDevice):
        return (output.latency_ns - output.device_ns) / 1e6, output.device_ns / 1e6
    return output.lead_ns / 1e6, 0.0
