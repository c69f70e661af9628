"""The supervisor, with real workers that die, hang and cannot be loaded."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from bridge.messages.worker import Failed, Generate, Load, Made, Primed, WorkerReady
from bridge.players.supervisor import Supervisor
from engines.engine import Request
from engines.music import Meter


class Scene:
    """A supervisor and what it told, in order."""

    def __init__(self, load: Load) -> None:
        self.told: list[str] = []
        self.answers: list[Primed | Made | Failed] = []
        self._news = asyncio.Event()
        self.supervisor = Supervisor(
            load, self._ready, self._answer,
            lambda why: self._tell(f"lost: {why}"), lambda why: self._tell(f"broken: {why}"),
            hang_s=0.3, pauses_s=(0.0, 0.0, 0.0),
        )  # fmt: skip

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()

    def generate(self, trouble: str = "none", time_left_s: float = 0.0) -> None:
        request = Request(
            bar=0, start_tick=0, length_ticks=3840, meter=Meter(), tempo_bpm=120.0, parameters={"trouble": trouble},
            time_left_s=time_left_s,
        )  # fmt: skip
        self.supervisor.send(Generate(1, 0, request))

    def _ready(self, message: WorkerReady) -> None:
        self._tell("ready")

    def _answer(self, message: Primed | Made | Failed) -> None:
        self._tell(type(message).__name__)

    def _tell(self, text: str) -> None:
        self.told.append(text)
        self._news.set()


def act(load: Load, scene: Callable[[Scene], Coroutine[None, None, None]]) -> list[str]:
    async def session() -> list[str]:
        stage = Scene(load)
        stage.supervisor.start()
        try:
            await scene(stage)
        finally:
            stage.supervisor.close()
            stage.supervisor.close()
        return stage.told

    return asyncio.run(session())


LOAD = Load("troubled", "", "auto", 1)


def test_killed_it_is_started_again(troubled: Path) -> None:
    async def scene(stage: Scene) -> None:
        await stage.until(1)
        assert stage.supervisor.pid
        os.kill(stage.supervisor.pid, signal.SIGKILL)
        await stage.until(3)
        stage.generate()
        await stage.until(4)

    assert act(LOAD, scene) == ["ready", "lost: died", "ready", "Made"]


def test_hung_it_is_killed_and_started_again(troubled: Path) -> None:
    async def scene(stage: Scene) -> None:
        await stage.until(1)
        stage.generate("hang")
        await stage.until(3)

    assert act(LOAD, scene) == ["ready", "lost: hung", "ready"]


def test_it_may_take_for_a_bar_the_time_that_the_bar_has(troubled: Path) -> None:
    waited_s: list[float] = []

    async def scene(stage: Scene) -> None:
        await stage.until(1)
        begun_s = time.monotonic()
        stage.generate("hang", time_left_s=1.0)
        await stage.until(2)
        waited_s.append(time.monotonic() - begun_s)

    assert act(LOAD, scene) == ["ready", "lost: hung"]
    assert waited_s[0] > 1.0


def test_a_worker_that_dies_over_every_bar_is_given_up(troubled: Path) -> None:
    async def scene(stage: Scene) -> None:
        while not (stage.told and stage.told[-1].startswith("broken")):
            seen = len(stage.told)
            if stage.told and stage.told[-1] == "ready":
                stage.generate("die")
            await stage.until(seen + 1)

    told = act(LOAD, scene)
    assert told[-1] == "broken: died"
    assert told.count("lost: died") == 3


def test_what_cannot_be_loaded_is_not_tried_again(troubled: Path) -> None:
    async def scene(stage: Scene) -> None:
        await stage.until(1)

    told = act(Load("nobody", "", "auto", 1), scene)
    assert len(told) == 1
    assert told[0].startswith("broken: there is no engine nobody")
