"""The supervisor: keeps one player's worker alive.

A worker that dies, or does not answer in time, is killed and started again, and the planner told both. Nothing here
waits: what the player loses are bars, which the planner's fallbacks cover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bridge.child import Child
from bridge.messages.worker import Failed, FromWorker, Generate, Load, Made, Prime, Primed, WorkerReady
from bridge.players.deadline import MARGIN_S

HANG_S = 2.0
LOAD_S = 120.0
"""How long a worker may take to answer, and to load."""

PAUSES_S = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Pauses before a worker that has made no bar since is started again; after the last of them it is given up."""


class Supervisor:
    """One worker after the other.

    on_ready(message), on_answer(message) and on_lost() tell the player; on_broken(text) that it is given up.
    """

    def __init__(
        self,
        load: Load,
        on_ready: Callable[[WorkerReady], None],
        on_answer: Callable[[Primed | Made | Failed], None],
        on_lost: Callable[[str], None],
        on_broken: Callable[[str], None],
        *,
        hang_s: float = HANG_S,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self.load = load
        self._on_ready = on_ready
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._on_broken = on_broken
        self._child: Child | None = None
        self._ready = False
        self._closed = False
        self._losses = 0
        self._least_hang_s = self._hang_s = hang_s
        self._pauses_s = pauses_s
        self._watch: asyncio.TimerHandle | None = None
        self._reason = ""

    @property
    def pid(self) -> int | None:
        """The worker's process, while one runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start a worker and have it load."""
        accepts: Any = FromWorker
        self._ready = False
        self._reason = "died"
        self._child = Child("bridge.players.worker", accepts, self._message, self._gone, quiet=True)
        self._child.start()
        self._child.send(self.load)
        self._wait(LOAD_S)

    def send(self, message: Prime | Generate) -> None:
        """Ask the worker something; it has to answer in time, and may take for a bar the time that the bar has."""
        if self._child is not None and self._ready:
            self._child.send(message)
            own_s = message.request.time_left_s + MARGIN_S if isinstance(message, Generate) else 0.0
            self._wait(max(self._hang_s, own_s))

    def hand_over(
        self,
        on_ready: Callable[[WorkerReady], None],
        on_answer: Callable[[Primed | Made | Failed], None],
        on_lost: Callable[[str], None],
        on_broken: Callable[[str], None],
    ) -> None:
        """From now on others are told: a worker that was loaded beside another has taken over."""
        self._on_ready, self._on_answer, self._on_lost, self._on_broken = on_ready, on_answer, on_lost, on_broken

    def close(self) -> None:
        """End the worker. May be called twice."""
        self._closed = True
        self._wait(None)
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # it holds nothing that is worth waiting for
            child.close()

    def _message(self, message: Any) -> None:
        self._wait(None)
        if isinstance(message, WorkerReady):
            self._ready = True
            self._hang_s = max(self._least_hang_s, 2 * message.bar_p99_s)
            self._on_ready(message)
        elif isinstance(message, Failed) and message.id == 0:
            self._reason = message.text  # it leaves now
        else:
            if isinstance(message, Made):
                self._losses = 0
            self._on_answer(message)

    def _gone(self) -> None:
        self._wait(None)
        if self._closed:
            return
        self._child, self._ready = None, False
        if self._losses >= len(self._pauses_s) or (self._reason not in ("died", "hung") and self._losses == 0):
            self._closed = True
            self._on_broken(self._reason)
            return
        pause_s = self._pauses_s[self._losses]
        self._losses += 1
        self._on_lost(self._reason)
        asyncio.get_running_loop().call_later(pause_s, self._restart)

    def _restart(self) -> None:
        if not self._closed:
            self.start()

    def _wait(self, timeout_s: float | None) -> None:
        """Expect an answer within a time, or none."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if timeout_s is not None:
            self._watch = asyncio.get_running_loop().call_later(timeout_s, self._hung)

    def _hung(self) -> None:
        self._reason = "hung"
        if self._child is not None:
            self._child.kill()
