"""The stagehand: keeps a stage standing, and remembers what a new one must be told if it falls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import structs

from bridge.child import Child
from bridge.messages.message import Trouble
from bridge.messages.stage import (
    BarStarted,
    Connections,
    Event,
    FromStage,
    Left,
    Mix,
    Mute,
    PortChanged,
    Quit,
    Setup,
    StageReady,
    StageStatus,
    Subscribers,
)
from bridge.messages.sync import Sync
from engines.errors import SidemanError

PAUSES_S = (0.0, 0.2, 1.0, 3.0)
"""Pauses before a stage that did not stand is set up again; after the last of them it is given up."""


class Stagehand:
    """One stage process after the other.

    setup: what the first is told; the tempo is asked anew for each.
    on_message gets everything the stage says; on_lost is called when one has died; say is for people.
    """

    def __init__(
        self,
        setup: Setup,
        tempo_mbpm: Callable[[], int],
        on_message: Callable[[Any], None],
        on_lost: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.status: StageStatus | None = None
        self.failed = ""
        self._setup = setup
        self._tempo_mbpm = tempo_mbpm
        self._on_message = on_message
        self._on_lost = on_lost
        self._say = say
        self._child: Child | None = None
        self._closed = False
        self._losses = 0
        self._sounding: dict[tuple[str, int, int], Event] = {}
        self._connections: dict[str, tuple[str, ...]] = {}
        self._faders: dict[tuple[type, str], Mute | Mix] = {}
        self._subscribers = Subscribers(())
        self._up = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The stage's process, while one runs."""
        return self._child.pid if self._child else None

    @property
    def sounding(self) -> tuple[Event, ...]:
        """The beginning of each note that left and has not ended."""
        return tuple(self._sounding.values())

    async def start(self) -> None:
        """Set the first stage up; returns when its ports are open. Raises SidemanError if it does not come."""
        self._set_up()
        await self._up.wait()
        if self.failed:
            raise SidemanError(self.failed)

    def send(self, message: Any) -> None:
        """Tell the stage; what a later one must know as well is remembered."""
        if isinstance(message, (Mute, Mix)):
            self._faders[type(message), message.player] = message
        elif isinstance(message, Sync):
            self._setup = structs.replace(self._setup, sync=message.sync)
        elif isinstance(message, Subscribers):
            self._subscribers = message
        if self._child is not None:
            self._child.send(message)

    def close(self) -> None:
        """Have every note ended, and the ports closed. May be called twice."""
        self._closed = True
        child, self._child = self._child, None
        if child is not None:
            child.send(Quit())
            child.drain()
            child.close()

    def _set_up(self) -> None:
        if self._closed:
            return
        accepts: Any = FromStage
        self._child = Child("bridge.stage.process", accepts, self._message, self._gone)
        self._child.start()
        setup = structs.replace(
            self._setup,
            tempo_mbpm=self._tempo_mbpm(),
            reconnect=dict(self._connections),
            sounding=tuple(self._sounding),
        )
        self._child.send(setup)

    def _message(self, message: Any) -> None:
        match message:
            case StageReady():
                self._ready()
            case Left():
                for event in message.events:
                    key = (event.player, event.channel, event.pitch)
                    if event.velocity:
                        self._sounding[key] = event
                    else:
                        self._sounding.pop(key, None)
            case Connections():
                self._connections.update(message.ports)
            case StageStatus():
                self.status = message
            case BarStarted():
                self._losses = 0
            case PortChanged() | Trouble():
                self._say(message.text)
        self._on_message(message)

    def _ready(self) -> None:
        self._sounding.clear()
        for fader in self._faders.values():
            self.send(fader)
        self.send(self._subscribers)
        self._up.set()

    def _gone(self) -> None:
        self._child = None
        if self._closed:
            return
        if self._losses >= len(PAUSES_S):
            self._closed = True
            self.failed = "the stage process cannot be kept alive; `sideman doctor` says what is missing"
            self._up.set()
            self._on_lost()
            return
        pause_s = PAUSES_S[self._losses]
        self._losses += 1
        self._on_lost()
        self._say(f"the stage died and is being set up again; {self._advice()}")
        asyncio.get_running_loop().call_later(pause_s, self._set_up)

    def _advice(self) -> str:
        wires = [f"{port} to {other}" for port, others in self._connections.items() for other in others]
        if wires:
            return f"if a host stays silent, connect again: {', '.join(wires)}"
        return "hosts may have to choose our ports again"
