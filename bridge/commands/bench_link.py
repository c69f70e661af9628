"""bench: how far two processes that follow one Link session are apart, in steady tempo and after a change."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Iterator
from typing import Any

from bridge.commands.figures import Row, histogram, percentile
from bridge.commands.probe import PLAYER, StageProbe
from bridge.messages.stage import EpochStarted, Piece, Play, PlayerSetup, Setup, Tempo
from bridge.messages.sync import SourceState, SyncSetup
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError

STEADY_TARGET_MS = 0.1
CHANGE_TARGET_MS = 5.0

TEMPI_MBPM = (120_000, 126_000, 120_000, 132_000, 120_000)
"""The first is steady; each of the others is set by one of the two in turn, and followed by both.

Link tells of a change up to 50 ms later (it sends no oftener): meanwhile two are apart by as much as the tempo differs.
"""

QUANTUM_TICKS = 3840
FIND_S = 5.0
SETTLE_S = 2.0
EVERY_S = 0.004
PAST_NS = 30_000_000
"""So long ago the phases are compared: whatever was decided about that moment has been told by now."""


class Mirror:
    """A stage's timeline, as it tells it."""

    def __init__(self) -> None:
        self.tempo_map: TempoMap | None = None
        self.offset: int | None = None
        self.peers = 0

    def hear(self, message: Any) -> None:
        """Take over what concerns time."""
        if isinstance(message, Piece):
            if self.tempo_map is None:
                self.tempo_map = TempoMap(message)
            self.tempo_map.apply(message)
        elif isinstance(message, EpochStarted):
            self.offset = message.position_tick - message.tick
        elif isinstance(message, SourceState):
            self.peers = message.peers


def apart_ns(one: Mirror, other: Mirror, at_ns: int, quantum_ticks: int = QUANTUM_TICKS) -> int | None:
    """How much later than the other one reaches the place in its bar where it is at a time; None before both play."""
    if one.tempo_map is None or other.tempo_map is None or one.offset is None or other.offset is None:
        return None
    tick, near = one.tempo_map.tick_at(at_ns), other.tempo_map.tick_at(at_ns)
    ahead = tick + one.offset - near - other.offset
    ahead = (ahead + quantum_ticks // 2) % quantum_ticks - quantum_ticks // 2
    return one.tempo_map.ns_at(tick) - other.tempo_map.ns_at(near + ahead)


def link_rows(seconds: float) -> Iterator[Row]:
    """Two stages in a session of their own; nothing is measured while other programs are in it."""
    name = "Link, two processes apart, steady"
    if importlib.util.find_spec("link") is None:
        yield Row(name, 'not here: pip install "sideman[link]"')
        return
    try:
        steady_ms, changing_ms = asyncio.run(_measured(seconds))
    except SidemanError as error:
        yield Row(name, f"not here: {error}")
        return
    p99_ms, worst_ms = percentile(steady_ms, 99), max(changing_ms)
    figure = f"p50 {percentile(steady_ms, 50):.3f} ms, p99 {p99_ms:.3f} ms"
    yield Row(name, figure, f"p99 <= {STEADY_TARGET_MS:g} ms", p99_ms <= STEADY_TARGET_MS)
    yield Row("  all of them", histogram(steady_ms))
    figure = f"p50 {percentile(changing_ms, 50):.2f} ms, at most {worst_ms:.2f} ms"
    target = f"<= {CHANGE_TARGET_MS:g} ms"
    yield Row("  in the beat after changes by 5 and 10 %", figure, target, worst_ms <= CHANGE_TARGET_MS)


async def _measured(seconds: float) -> tuple[list[float], list[float]]:
    """How many ms the two are apart, whichever way: in steady tempo, and in the beats after changes."""
    mirrors = Mirror(), Mirror()
    setup = Setup(
        "sideman probe", (PlayerSetup(PLAYER, ()),), TEMPI_MBPM[0], SyncSetup("link", quantum_ticks=QUANTUM_TICKS)
    )
    async with StageProbe(setup, mirrors[0].hear) as one, StageProbe(setup, mirrors[1].hear) as other:
        await _found(mirrors)
        for stage in (one, other):
            stage.send(Play(1, 0, quantum_ticks=QUANTUM_TICKS))
        await asyncio.sleep(QUANTUM_TICKS / 960 * 0.5 + SETTLE_S)  # the bar that is waited for, at 120 bpm
        steady_ms = await _sampled(mirrors, seconds)
        changing_ms: list[float] = []
        for i, tempo_mbpm in enumerate(TEMPI_MBPM[1:]):
            (one, other)[i % 2].send(Tempo(tempo_mbpm))
            changing_ms += await _sampled(mirrors, 60_000 / tempo_mbpm)
            await asyncio.sleep(SETTLE_S)
    return steady_ms, changing_ms


async def _found(mirrors: tuple[Mirror, Mirror]) -> None:
    """Wait until the two have found each other. Raises SidemanError if they do not, or somebody else is there."""
    until_s = time.monotonic() + FIND_S
    while any(mirror.peers != 1 for mirror in mirrors):
        await asyncio.sleep(0.1)
        if time.monotonic() > until_s:
            others = max(mirror.peers for mirror in mirrors) - 1
            if others > 0:
                raise SidemanError(f"{others} other programs are in the Link session, and it is theirs")
            raise SidemanError("two processes of one machine do not find each other by Link; is a firewall on?")


async def _sampled(mirrors: tuple[Mirror, Mirror], seconds: float) -> list[float]:
    found_ms = []
    until_s = time.monotonic() + seconds
    await asyncio.sleep(PAST_NS / 1e9)
    while time.monotonic() < until_s + PAST_NS / 1e9:
        apart = apart_ns(*mirrors, time.perf_counter_ns() - PAST_NS)
        if apart is not None:
            found_ms.append(abs(apart) / 1e6)
        await asyncio.sleep(EVERY_S)
    if not found_ms:
        raise SidemanError("the two stages did not start to play")
    return found_ms
