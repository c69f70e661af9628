"""`sideman calibrate OUTPUT`: how late an output sounds, measured, and made up for from then on.

A stage of its own plays eight clicks on the output, as a set would; they are heard on a MIDI or sound input, and the
median of how late they were is the output's latency_ms. Clicking again with it shows what is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.commands.clicks import CLICKS_MS, EARLIEST_MS, LATEST_MS, Lateness, lateness
from bridge.commands.ears import Ear, make_ear
from bridge.commands.probe import StageProbe
from bridge.files.setfile import write_set
from bridge.files.setread import load_set
from bridge.messages.stage import Chunk, Connections, Left, OutputSetup, Play, PlayerSetup, Setup
from bridge.set import OutputSet, PlayerSet, Set, check_plugins, default_set
from engines.errors import SidemanError
from engines.music import Note

SIDE_STICK = 37
VELOCITY = 112
LENGTH_TICKS = 100

TEMPO_MBPM = 125_000
TICKS_PER_MS = 2
"""At 125 bpm."""

SOON_MS = 200
QUIET_MS = 400
"""Before the first click: what is heard then is noise."""

PATIENCE_S = 10.0
TOLD_S, CONNECT_S, CONNECTED_S = 1.0, 10.0, 60.0
"""How long a port of our own waits: to be told what is connected to it; to be connected, unseen and seen."""

SOUNDS_S = 1.2
"""After the last click, for what is a second late."""

LOOK_S = 0.2


Wires = dict[str, tuple[str, ...]]
"""Each of our ports, and what it is connected to."""


@dataclass(frozen=True, slots=True)
class Clicker:
    """What clicks: a player of the set, or one like it, on one output."""

    player: str
    channel: int
    kind: str
    target: str
    note: int

    def clicks(self) -> tuple[Play, Chunk]:
        """What a stage is told to click eight times, soon."""
        length = TICKS_PER_MS * (QUIET_MS + CLICKS_MS[-1] + round(SOUNDS_S * 1000))
        notes = tuple(Note((QUIET_MS + ms) * TICKS_PER_MS, self.note, VELOCITY, LENGTH_TICKS) for ms in CLICKS_MS)
        return Play(1, 0, SOON_MS), Chunk(self.player, 1, 0, 1, 0, length, "hit", notes)

    def setup(self, latency_ms: float, wires: Wires) -> Setup:
        """What a stage is told that clicks with an output of that latency, its ports connected like that."""
        output = OutputSetup(self.kind, self.target, latency_ms)
        player = PlayerSetup(self.player, (output,), self.channel)
        return Setup("sideman", (player,), TEMPO_MBPM, reconnect=dict(wires))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What clicks, and what hears it."""
    parser.add_argument("output", metavar="OUTPUT", help="as a set names it: midi:PORT, audio, audio:DEVICE ...")
    parser.add_argument("file", nargs="?", type=Path, metavar="SET", help="the set file that it is written to")
    parser.add_argument("--input", default="audio", metavar="NAME",
                        help="what hears it: a MIDI port by a part of its name, an input of the set, audio (the sound "
                             "input), audio:DEVICE or audio:jack:PORT")  # fmt: skip
    parser.add_argument("--note", type=int, default=SIDE_STICK, metavar="N", help="the note that clicks (37)")


def run(args: argparse.Namespace) -> int:
    """Click, print how late it was before and after, and keep it. Raises SidemanError when it cannot be heard."""
    if not 0 <= args.note <= 127:
        raise SidemanError(f"--note takes a whole number from 0 to 127, not {args.note}")
    set_ = default_set() if args.file is None else load_set(args.file)
    clicker = _clicker(set_, args.output, args.note)
    before_ms = set_.outputs.get(args.output, OutputSet()).latency_ms
    wanted = set_.inputs[args.input].port or args.input if args.input in set_.inputs else args.input
    print(f"eight clicks on {args.output}, to be heard on {wanted}", flush=True)
    wires: Wires = {}
    found = asyncio.run(_measured(clicker, make_ear(wanted), before_ms, wires))
    print(f"before: {found}, with latency_ms = {before_ms:g}", flush=True)
    latency_ms = round(before_ms + found.late_ms, 2)
    if not EARLIEST_MS <= latency_ms <= LATEST_MS:
        raise SidemanError(f"{args.output}: {latency_ms:g} ms is more than a set makes up for (1000)")
    left = asyncio.run(_measured(clicker, make_ear(wanted), latency_ms, wires))
    print(f"after:  {left}, with latency_ms = {latency_ms:g}")
    if abs(left.late_ms) > abs(found.late_ms):
        print("that is no better: nothing is changed")
        return 1
    _keep(args.file, args.output, latency_ms)
    return 0


def _clicker(set_: Set, output: str, note: int) -> Clicker:
    """As the first player that plays on that output: the port has its name, the clicks its channel."""
    kind, _, target = output.partition(":")
    for name, player in set_.players.items():
        if output in player.outputs:
            found = Clicker(name, player.channel, kind, target, note)
            break
    else:
        found = Clicker("calibrate", PlayerSet().channel, kind, target, note)
    config = PlayerSet(engine="drums", outputs=(output,))
    check_plugins(Set(players={found.player: config}, seed=0))
    return found


async def _measured(clicker: Clicker, ear: Ear, latency_ms: float, wires: Wires) -> Lateness:
    """Click eight times on a stage of its own; how late that was heard. Its ports' connections are kept in `wires`."""
    due_ns: list[int] = []

    def heard(message: Any) -> None:
        if isinstance(message, Left):
            due_ns.extend(event.at_ns for event in message.events if event.velocity)
        elif isinstance(message, Connections):
            wires.update(message.ports)

    async with StageProbe(clicker.setup(latency_ms, wires), heard) as stage:
        if clicker.kind == "midi" and not clicker.target:
            await _connected(stage, clicker, wires)
        with contextlib.closing(ear):
            ear.open()  # only now, as what it hears may be the stage's own
            for message in clicker.clicks():
                stage.send(message)
            while len(due_ns) < len(CLICKS_MS):
                await stage.next(Left, PATIENCE_S)
            return await _heard(ear, due_ns)


async def _heard(ear: Ear, due_ns: list[int]) -> Lateness:
    """How late the clicks were, as soon as all were heard, or as late as one of them may be."""
    since_ns = due_ns[0] - QUIET_MS * 1_000_000
    for _ in range(round(SOUNDS_S / LOOK_S)):
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(SidemanError):
            found = lateness(due_ns, ear.heard_ns(since_ns, QUIET_MS / 2000))
            if found.heard == len(CLICKS_MS):
                return found
    return lateness(due_ns, ear.heard_ns(since_ns, QUIET_MS / 2000))


async def _connected(stage: StageProbe, clicker: Clicker, wires: Wires) -> None:
    """Wait until something is connected to our own port; where the system does not tell what is, some seconds."""
    with contextlib.suppress(SidemanError):
        await stage.next(Connections, TOLD_S)
    if not wires:
        print(f"connect sideman:{clicker.player} to what sounds; it clicks in {CONNECT_S:g} s", flush=True)
        await asyncio.sleep(CONNECT_S)
        return
    if not any(wires.values()):
        print(f"connect sideman:{clicker.player} to what sounds", flush=True)
    until_s = time.monotonic() + CONNECTED_S
    while not any(wires.values()):
        if time.monotonic() > until_s:
            raise SidemanError(f"nothing was connected to sideman:{clicker.player}, so nothing can be heard")
        await asyncio.sleep(LOOK_S)


def _keep(file: Path | None, output: str, latency_ms: float) -> None:
    """Write it into the set file, or say what to write there."""
    table = f'[outputs."{output}"]'
    if file is None:
        print(f"to keep it, put this into a set file:\n{table}\nlatency_ms = {latency_ms:g}")
        return
    set_latency(file, output, latency_ms)
    print(f"{file}: {table} latency_ms = {latency_ms:g}")


def set_latency(file: Path, output: str, latency_ms: float) -> None:
    """Write an output's latency into a set file and leave everything else in it as it stands, comments too.

    Raises SidemanError if the file cannot be written.
    """
    import tomlkit
    from tomlkit.items import Table

    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    outputs = document.setdefault("outputs", tomlkit.table(is_super_table=True))
    table: Table = outputs.setdefault(output, tomlkit.table())
    table["latency_ms"] = latency_ms
    write_set(file, tomlkit.dumps(document))
