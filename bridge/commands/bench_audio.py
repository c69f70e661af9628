"""bench: what the way of sound costs, and whether it is ever late: two players, all workers flat out.

On a JACK server of its own. Another server runs at the same time with nothing but a silent client: what that one
overruns is the machine's doing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.commands.bench_jack import BenchServer, jack_server
from bridge.commands.figures import Row
from bridge.commands.flat_out import flat_out
from bridge.commands.probe import StageProbe
from bridge.messages.sound import SoundStatus
from bridge.messages.stage import AskStatus, Chunk, OutputSetup, Play, PlayerSetup, Setup, StageStatus
from bridge.messages.worker import Load
from engines.errors import SidemanError
from engines.music import LoopFile, Note

CALLBACK_TARGET_PERCENT = 20.0

BAR, BAR_S = 3840, 2.0
TEMPO_MBPM = 120_000
LOOP_RATE = 44_100
DRUMS, LOOP = "drums", "loop"
SETTLE_S = 2.0
STATUS_S = 15.0
"""How the sound fares is told once in ten seconds, and when a counter has changed."""


@dataclass(frozen=True, slots=True)
class Played:
    """How it went, between two statuses of each player, and what a silent client's server overran meanwhile."""

    statuses: tuple[tuple[SoundStatus, SoundStatus], ...]
    xruns_silent: int
    stage: StageStatus

    def counted(self, counter: str) -> int:
        """How much a counter grew, of all players."""
        return sum(getattr(after, counter) - getattr(before, counter) for before, after in self.statuses)


def audio_rows(seconds: float, load: Sequence[Load]) -> Iterator[Row]:
    """Starved frames, xruns and the callback's time."""
    name = f"sound, two players, {len(load)} workers flat out"
    server = f"sideman-bench-{os.getpid()}"
    try:
        with BenchServer(f"{server}-silent"), Silence(f"{server}-silent") as silence, jack_server(server):
            yield from played_rows(name, asyncio.run(_played(seconds, load, silence)))
    except SidemanError as error:
        yield Row(name, f"not here: {error}")


def played_rows(name: str, played: Played) -> Iterator[Row]:
    """What was played, against its targets."""
    starved, late = played.counted("starved_frames"), played.counted("late_frames")
    figure = f"{starved} frames starved, {late} of loops late"
    yield Row(name, figure, "none", starved + late == 0)
    last = [after for _, after in played.statuses]
    percent = max(status.load_p99_percent for status in last)
    yield Row(
        f"  callback, {last[0].block} frames at {last[0].rate / 1000:g} kHz", f"p99 {percent:g} % of its period",
        f"<= {CALLBACK_TARGET_PERCENT:g} %", percent <= CALLBACK_TARGET_PERCENT,
    )  # fmt: skip
    stage = played.stage
    p50_ms, p99_ms, max_ms = (us / 1e3 for us in (stage.late_p50_us, stage.late_p99_us, stage.late_max_us))
    yield Row(
        f"  {stage.events} events meanwhile, late", f"p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f}, at most {max_ms:.2f}"
    )
    before, after = played.statuses[0]  # both players are on one device
    xruns = after.xruns - before.xruns
    yield Row(
        "  xruns, against a silent client's", f"{xruns} against {played.xruns_silent}", "no more",
        xruns <= played.xruns_silent,
    )  # fmt: skip


class Silence:
    """A silent client on another server, in a process of its own."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Silence:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge.commands.bench_silent"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "JACK_DEFAULT_SERVER": self._server},
        )  # fmt: skip
        self.xruns()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.communicate()

    def xruns(self) -> int:
        """How many its server has had so far. Raises SidemanError if it does not run."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise SidemanError("the silent client does not run")
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline())
        except (OSError, ValueError):
            raise SidemanError("no JACK client can be had here") from None


async def _played(seconds: float, load: Sequence[Load], silence: Silence) -> Played:
    """Play for so long."""
    outputs = (OutputSetup("audio", "jack"),)
    setup = Setup("sideman bench", (PlayerSetup(DRUMS, outputs), PlayerSetup(LOOP, outputs, 1)), TEMPO_MBPM)
    said: dict[str, SoundStatus] = {}

    def heard(message: Any) -> None:
        if isinstance(message, SoundStatus):
            said[message.player] = message

    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder:
        loop = _loop(Path(folder))
        async with flat_out(load), StageProbe(setup, heard) as stage:
            stage.send(Play(1, 0, delay_ms=300))
            feeding = asyncio.create_task(_feed(stage, loop))
            try:
                await asyncio.sleep(SETTLE_S)
                silent = silence.xruns()
                before = await _statuses(stage, said)
                await asyncio.sleep(seconds)
                after = await _statuses(stage, said)
                silent = silence.xruns() - silent
                stage.send(AskStatus())
                status: StageStatus = await stage.next(StageStatus, STATUS_S)
            finally:
                feeding.cancel()
    return Played(tuple((before[name], after[name]) for name in (DRUMS, LOOP)), silent, status)


async def _feed(stage: StageProbe, loop: LoopFile) -> None:
    """Send every bar two bars ahead, for ever: hits on the drums, a loop for the other."""
    notes = tuple(Note(i * 120, 36 + i % 12, 100, 100) for i in range(32))
    begun_s = time.monotonic()
    bar = 0
    while True:
        stage.send(Chunk(DRUMS, 1, bar, bar + 1, bar * BAR, BAR, "hit", notes))
        stage.send(Chunk(LOOP, 1, bar, bar + 1, bar * BAR, BAR, "hit", (), loop=loop))
        bar += 1
        await asyncio.sleep(max(0.0, begun_s + (bar - 2) * BAR_S - time.monotonic()))


async def _statuses(stage: StageProbe, said: dict[str, SoundStatus]) -> dict[str, SoundStatus]:
    """How each player's sound fares, told from now on."""
    said.clear()
    while len(said) < 2:
        await stage.next(SoundStatus, STATUS_S)
    return dict(said)


def _loop(folder: Path) -> LoopFile:
    """A bar of noise on disk, at another rate than the device's."""
    import soundfile

    path, frames = folder / "loop.wav", round(BAR_S * LOOP_RATE)
    sound = np.random.default_rng(1).normal(0, 0.1, (frames, 2)).astype(np.float32)
    soundfile.write(path, sound, LOOP_RATE, subtype="FLOAT")
    return LoopFile(str(path), LOOP_RATE, frames, 2, BAR, TEMPO_MBPM)
