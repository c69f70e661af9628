"""Probe: a real stage of one's own for some seconds, for doctor, bench and calibrate."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from bridge.child import Child
from bridge.commands.flat_out import flat_out
from bridge.messages.stage import (
    AskStatus,
    Chunk,
    FromStage,
    Left,
    OutputSetup,
    Play,
    PlayerSetup,
    Quit,
    Setup,
    StageReady,
    StageStatus,
    ToStage,
)
from bridge.messages.worker import Load
from engines.errors import SidemanError
from engines.music import Meter, Note

TEMPO_MBPM = 240_000
NOTES_A_BAR = 96
"""Notes, each with its end, in a bar of one second: 192 events a second."""

LOWEST_PITCH = 20
"""Of the first note in a bar; each has another, so that one that is lost on the way does not pass for the next."""

PLAYER = "probe"
START_S = 10.0


class StageProbe:
    """A stage process, to say things to and to wait for what it says.

    on_message is called with everything that it says, as it comes. Raises SidemanError in words if it dies.
    """

    def __init__(self, setup: Setup, on_message: Callable[[Any], None] = lambda _: None) -> None:
        self._setup = setup
        self._on_message = on_message
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        accepts: Any = FromStage
        self._stage = Child("bridge.stage.process", accepts, self._heard, lambda: self._said.put_nowait(None))

    async def __aenter__(self) -> Self:
        """Start it and wait until its outputs are open. Raises SidemanError if one cannot be."""
        self._stage.start()
        self.send(self._setup)
        try:
            ready = await self.next(StageReady, START_S)
            if ready.problems:
                raise SidemanError(ready.problems[0])
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Its process's number."""
        return self._stage.pid

    def send(self, message: ToStage) -> None:
        """Tell it something."""
        self._stage.send(message)

    async def next(self, kind: type[Any], patience_s: float) -> Any:
        """The next message of a kind; others are passed over. Raises SidemanError if none comes in time."""
        try:
            async with asyncio.timeout(patience_s):
                while not isinstance(message := await self._said.get(), kind):
                    if message is None:
                        raise SidemanError("the stage process died while it was measured")
        except TimeoutError as error:
            raise SidemanError("the stage does not answer; close what keeps this machine busy") from error
        return message

    def close(self) -> None:
        """End every note, and the process."""
        self.send(Quit())
        self._stage.drain()  # it tells what ended
        self._stage.close()

    def _heard(self, message: Any) -> None:
        self._on_message(message)
        self._said.put_nowait(message)


async def stage_lateness(
    seconds: float,
    realtime: bool = True,
    load: Iterable[Load] = (),
    outputs: tuple[OutputSetup, ...] = (),
    on_left: Callable[[Left], None] = lambda _: None,
) -> StageStatus:
    """Play notes on a stage of its own and return its status; without outputs, unless some are given.

    realtime: False takes the priority away again, if it was granted. load: workers that make bars all the while, as
    fast as they can. on_left is told what left. Raises SidemanError if the stage or a worker does not start.
    """

    def heard(message: Any) -> None:
        if isinstance(message, Left):
            on_left(message)

    setup = Setup("sideman probe", (PlayerSetup(PLAYER, outputs),), TEMPO_MBPM)
    async with flat_out(load), StageProbe(setup, heard) as stage:
        if not realtime and stage.pid is not None:
            _take_priority_away(stage.pid)
        _play(stage, seconds)
        await asyncio.sleep(seconds)
        stage.send(AskStatus())
        status: StageStatus = await stage.next(StageStatus, START_S)
        return status


def _play(stage: StageProbe, seconds: float) -> None:
    meter = Meter()
    every = meter.bar_ticks // NOTES_A_BAR
    notes = tuple(Note(i * every, LOWEST_PITCH + i, 100, every // 2) for i in range(NOTES_A_BAR))
    stage.send(Play(1, 0))
    for bar in range(int(seconds) + 2):
        stage.send(Chunk(PLAYER, 1, bar, bar, bar * meter.bar_ticks, meter.bar_ticks, "hit", notes))


def _take_priority_away(pid: int) -> None:
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
