"""A band live: drums and notes that hear each other, at 140 bpm, counted bar by bar as a listener gets them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.commands.figures import Row, percentile
from bridge.commands.live_figures import usage
from bridge.daemon import Daemon, LiveOptions
from bridge.messages.stage import AskStatus, StageStatus
from bridge.set import PlayerSet, Set
from bridge.terminal.view import ShownBar
from engines.bundle import shipped
from engines.errors import SidemanError
from engines.notes.roles import DRUMS
from engines.notes.scales import scale_classes

BUNDLE = "notes"
TEMPO_BPM = 140.0
BAR_S = 4 * 60 / TEMPO_BPM
SCALE, ROOT = "dorian", "D"
CHORD = "Dm7"
WORKER_TARGET_MB = 300.0
LATE_TARGET_MS = 0.5
ENOUGH_BARS = 4


@dataclass(slots=True)
class Heard:
    """A View that counts. bars: by player and outcome; headrooms: of bars made in time; astray: out of the scale."""

    bars: Counter[tuple[str, str]] = field(default_factory=Counter)
    headrooms: dict[str, list[float]] = field(default_factory=dict)
    notes: int = 0
    astray: int = 0

    def bar(self, shown: ShownBar) -> None:
        """See View."""
        self.bars[shown.player, shown.outcome] += 1
        if shown.outcome == "hit" and shown.bar:  # the first is due as soon as it is there
            self.headrooms.setdefault(shown.player, []).append(shown.headroom)
        allowed = scale_classes(SCALE, ROOT)
        pitched = [note for note in shown.notes if note.part not in (0, DRUMS + 1)]
        self.notes += len(pitched)
        self.astray += sum(not allowed[note.pitch % 12] for note in pitched)

    def playhead(self, step: int) -> None:
        """See View."""

    def sync(self, text: str) -> None:
        """See View."""

    def say(self, text: str) -> None:
        """See View."""

    def close(self) -> None:
        """See View."""


def band_rows(seconds: float) -> Iterator[Row]:
    """Play as many bars as fit, and say how each player did."""
    name = "band live"
    if BUNDLE not in [folder.name for folder in shipped()]:
        yield Row(name, f"not measured: there is no bundle {BUNDLE}")
        return
    bars = max(ENOUGH_BARS, round(seconds / BAR_S))
    band = PlayerSet(
        engine="notes", bundle=BUNDLE, outputs=("osc",), channel=1, hears=("player:drums",),
        parameters={"scale": SCALE, "root": ROOT, "chord": CHORD},
    )  # fmt: skip
    drums = PlayerSet(outputs=("osc",), hears=("player:band",), parameters={"lock": 1.0})
    set_ = Set(players={"drums": drums, "band": band}, seed=1, tempo_bpm=TEMPO_BPM, osc_port=0)
    try:
        heard, status, workers_mb = asyncio.run(played(set_, bars))
    except SidemanError as error:
        yield Row(name, f"not measured: {error}")
        return
    yield from figures_of(heard, bars)
    if status is not None:
        passed = status.late_p99_us / 1e3 <= LATE_TARGET_MS if status.realtime else None
        priority = "real-time" if status.realtime else "ordinary"
        yield Row(
            f"band live, events late, {priority} priority",
            f"p50 {status.late_p50_us / 1e3:.2f} ms, p99 {status.late_p99_us / 1e3:.2f} ms",
            f"p99 <= {LATE_TARGET_MS:g} ms" if status.realtime else "",
            passed,
        )
    if workers_mb:
        most = max(workers_mb)
        yield Row(
            "band live, memory of a worker", f"{most:.0f} MB", f"<= {WORKER_TARGET_MB:g} MB", most <= WORKER_TARGET_MB
        )


def figures_of(heard: Heard, bars: int) -> Iterator[Row]:
    """What became of each player's bars, and of the scale."""
    for player in sorted({player for player, _ in heard.bars}):
        outcomes = {outcome: count for (name, outcome), count in heard.bars.items() if name == player}
        hit = outcomes.pop("hit", 0)
        others = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "0 late"
        yield Row(
            f"band live, {player}, {TEMPO_BPM:g} bpm, {bars} bars", f"{hit} hit, {others}", "all hit", hit == bars
        )
        if headrooms := heard.headrooms.get(player):
            figure = f"least {min(headrooms):.0%}, median {percentile(headrooms, 50):.0%}"
            yield Row(f"band live, {player}, headroom", figure)
    yield Row(f"band live, out of {ROOT} {SCALE}", f"{heard.astray} of {heard.notes} notes", "none", heard.astray == 0)


async def played(set_: Set, bars: int) -> tuple[Heard, StageStatus | None, list[float]]:
    """Play a set; what was heard, how late its events were, and the memory of its workers in MB."""
    heard = Heard()
    daemon = Daemon(set_, LiveOptions(bars=bars), heard)
    try:
        await daemon.start()
        await daemon.wait()
        workers = {player.worker_pid for player in daemon.players.values()}
        workers_mb = [megabytes for pid, (_, _, megabytes) in usage(os.getpid()).items() if pid in workers]
        daemon.stagehand.send(AskStatus())
        async with asyncio.timeout(2.0):
            while daemon.stagehand.status is None:
                await asyncio.sleep(0.01)
        return heard, daemon.stagehand.status, workers_mb
    except TimeoutError:
        return heard, None, workers_mb
    finally:
        await daemon.close()
