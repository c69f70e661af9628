"""Workers asked for bar after bar as fast as they can make them: how long a bar takes, and a load for what else is
measured meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

from bridge.child import Child
from bridge.messages.worker import Failed, FromWorker, Generate, Load, Made, WorkerReady
from bridge.players.grid import BarGrid
from bridge.players.spans import Spans
from engines.engine import Request
from engines.errors import SidemanError
from engines.parameter import Parameters

START_S = 10.0


async def bar_times(load: Load, bars: int) -> list[float]:
    """Seconds from asking a worker for a bar, or a span, until it is there, of so many.

    Raises SidemanError if the worker does not start or cannot make one.
    """
    async with flat_out([load]) as (worker,):
        return await worker.times(bars)


@contextlib.asynccontextmanager
async def flat_out(loads: Iterable[Load]) -> AsyncIterator[list[FlatOut]]:
    """Workers that make bars all the while. Raises SidemanError if one does not start."""
    workers = [FlatOut(load) for load in loads]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            await asyncio.wait_for(worker.ready, START_S)
        yield workers
    except TimeoutError as error:
        raise SidemanError("the workers did not start in time; close what keeps this machine busy") from error
    finally:
        for worker in workers:
            worker.close()


class FlatOut:
    """A worker that is asked for the next bar as soon as it has made one."""

    def __init__(self, load: Load) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._spans = Spans(BarGrid(load.meter), load.chunk)
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
        span = self._spans.span(self._bars)
        request = Request(
            bar=span.number, start_tick=span.start_tick, length_ticks=span.length_ticks, meter=span.meter,
            tempo_bpm=self._load.tempo_mbpm / 1000, parameters=self._values,
        )  # fmt: skip
        self._asked_s = time.perf_counter()
        self._child.send(Generate(self._bars + 1, self._bars, request))
        self._bars += 1
