"""Probe: a real stage played for some seconds, and real workers asked for bars; for doctor, latency and bench."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from bridge.child import Child
from bridge.messages.stage import AskStatus, Chunk, FromStage, Play, PlayerSetup, Quit, Setup, StageReady, StageStatus
from bridge.messages.worker import Failed, FromWorker, Generate, Load, Made, WorkerReady
from engines.engine import Request
from engines.errors import SidemanError
from engines.music import Meter, Note
from engines.parameter import Parameters

TEMPO_MBPM = 240_000
NOTES_A_BAR = 96
"""Notes, each with its end, in a bar of one second: 192 events a second."""

PLAYER = "probe"
START_S = 10.0


async def stage_lateness(seconds: float, realtime: bool = True, load: Iterable[Load] = ()) -> StageStatus:
    """Play notes without outputs on a stage of its own and return its status.

    realtime: False takes the priority away again, if it was granted. load: workers that make bars all the while, as
    fast as they can. Raises SidemanError if the stage or a worker does not start.
    """
    loop = asyncio.get_running_loop()
    status: asyncio.Future[StageStatus] = loop.create_future()
    ready: asyncio.Future[StageReady] = loop.create_future()

    def heard(message: Any) -> None:
        if isinstance(message, StageStatus) and not status.done():
            status.set_result(message)
        elif isinstance(message, StageReady):
            ready.set_result(message)

    def gone() -> None:
        for future in (ready, status):
            if not future.done():
                future.set_exception(SidemanError("the stage process died while it was measured"))

    accepts: Any = FromStage
    stage = Child("bridge.stage.process", accepts, heard, gone)
    workers = [FlatOut(message) for message in load]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            await asyncio.wait_for(worker.ready, START_S)
        stage.start()
        stage.send(Setup("sideman probe", (PlayerSetup(PLAYER, ()),), TEMPO_MBPM))
        await asyncio.wait_for(ready, START_S)
        if not realtime and stage.pid is not None:
            _take_priority_away(stage.pid)
        _play(stage, seconds)
        await asyncio.sleep(seconds)
        stage.send(AskStatus())
        return await asyncio.wait_for(status, START_S)
    except TimeoutError as error:
        raise SidemanError("the processes did not start in time; close what keeps this machine busy") from error
    finally:
        stage.send(Quit())
        stage.close()
        for worker in workers:
            worker.close()


async def bar_times(load: Load, bars: int) -> list[float]:
    """Seconds from asking a worker for a bar until it is there, of so many bars.

    Raises SidemanError if the worker does not start or cannot make one.
    """
    worker = FlatOut(load)
    try:
        worker.start()
        await asyncio.wait_for(worker.ready, START_S)
        return await worker.times(bars)
    except TimeoutError as error:
        raise SidemanError("the worker did not start in time; close what keeps this machine busy") from error
    finally:
        worker.close()


def _play(stage: Child, seconds: float) -> None:
    meter = Meter()
    every = meter.bar_ticks // NOTES_A_BAR
    notes = tuple(Note(i * every, 36, 100, every // 2) for i in range(NOTES_A_BAR))
    stage.send(Play(1, 0))
    for bar in range(int(seconds) + 2):
        stage.send(Chunk(PLAYER, 1, bar, bar, bar * meter.bar_ticks, meter.bar_ticks, "hit", notes))


def _take_priority_away(pid: int) -> None:
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


class FlatOut:
    """A worker that is asked for the next bar as soon as it has made one."""

    def __init__(self, load: Load) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._bars = 0
        self._asked_s = 0.0
        self._took_s: list[float] = []
        self._wanted: tuple[int, asyncio.Future[list[float]]] | None = None
        self._values: dict[str, Any] = {}
        accepts: Any = FromWorker
        self._child = Child("bridge.players.worker", accepts, self._heard, partial(self._fail, "the worker died"))

    def start(self) -> None:
        """Start the process; `ready` is done once it has loaded its engine."""
        self._child.start()
        self._child.send(self._load)

    async def times(self, bars: int) -> list[float]:
        """How long each of the next bars takes, in seconds."""
        self._took_s.clear()
        found: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._wanted = (bars, found)
        return await found

    def close(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.close()

    def _heard(self, message: Any) -> None:
        if isinstance(message, WorkerReady):
            self._values = Parameters(message.parameters).snapshot()
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(message, Made):
            self._count(time.perf_counter() - self._asked_s)
        else:
            text = message.text if isinstance(message, Failed) else str(message)
            self._fail(f"the worker could not make a bar: {text}")
            return
        self._ask()

    def _count(self, took_s: float) -> None:
        self._took_s.append(took_s)
        if self._wanted and len(self._took_s) > self._wanted[0] and not self._wanted[1].done():
            self._wanted[1].set_result(self._took_s[1:])  # the first was asked for earlier

    def _fail(self, reason: str) -> None:
        for future in (self.ready, self._wanted[1] if self._wanted else self.ready):
            if not future.done():
                future.set_exception(SidemanError(reason))

    def _ask(self) -> None:
        meter = Meter()
        request = Request(
            bar=self._bars, start_tick=self._bars * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter,
            tempo_bpm=120.0, parameters=self._values,
        )  # fmt: skip
        self._asked_s = time.perf_counter()
        self._child.send(Generate(self._bars + 1, self._bars, request))
        self._bars += 1
