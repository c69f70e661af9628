"""A stage and a JACK server in processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from bridge.channel import Channel, inherited_by, module_command, pair
from bridge.messages.message import Message
from bridge.messages.stage import EpochStarted, Event, FromStage, Left, Piece, Quit, Setup
from bridge.stage.midi.jack_client import start_probe
from bridge.testing.waiting import PATIENCE_S
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError

START_S = 10.0
"""How long a JACK server may take to come up."""

T = TypeVar("T")


class StageProcess:
    """A real stage in a process of its own, and control's end of its channel.

    said: all that it has said, in order.
    """

    def __init__(self, setup: Setup) -> None:
        self.said: list[Any] = []
        self._map: TempoMap | None = None
        self._epoch: EpochStarted | None = None
        mine, theirs = pair()
        accepts: Any = FromStage
        with theirs:
            command = module_command("bridge.stage.process", theirs.fileno())
            self._process = subprocess.Popen(command, **inherited_by(theirs))
        self._channel = Channel(mine, accepts)
        self.tell(setup)

    def tell(self, *messages: Message) -> None:
        """Say something to it."""
        for message in messages:
            self._channel.send(message)

    def listen(self, seconds: float = 0.0) -> None:
        """Take in what it says, for some time or what is there."""
        deadline_s = time.monotonic() + seconds
        while self._channel.wait(max(0.0, deadline_s - time.monotonic())):
            for message in self._channel.receive():
                self.said.append(message)
                if isinstance(message, Piece):
                    self._mirror(message)
                elif isinstance(message, EpochStarted):
                    self._epoch = message

    def wait_for(self, kind: type[T], condition: Callable[[T], bool] = lambda _: True) -> T:
        """The first message of a kind that fulfils a condition, waiting for it. Raises TimeoutError."""
        deadline_s, seen = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < deadline_s:
            for message in self.said[seen:]:
                if isinstance(message, kind) and condition(message):
                    return message
            seen = len(self.said)
            self._channel.wait(0.1)
            self.listen()
        raise TimeoutError(f"the stage did not say {kind.__name__}: {self.said[-20:]}")

    @property
    def events(self) -> list[Event]:
        """What left."""
        return [event for message in self.said if isinstance(message, Left) for event in message.events]

    @property
    def tempo_mbpm(self) -> int:
        """The tempo that its timeline has, or will have."""
        return self._map.pieces[-1].tempo_mbpm if self._map else 0

    def song_tick_at(self, at_ns: int) -> float:
        """Where in the song it was or will be at a moment, from what it has said so far; between ticks too."""
        if self._map is None or self._epoch is None:
            raise RuntimeError("the stage does not play yet")
        tick = self._map.tick_at(at_ns)
        begins_ns, ends_ns = self._map.ns_at(tick), self._map.ns_at(tick + 1)
        part = (at_ns - begins_ns) / (ends_ns - begins_ns)
        return tick + part - self._epoch.tick + self._epoch.position_tick

    def close(self) -> int:
        """Have it end; its exit status. May be called twice."""
        if self._process.poll() is None:
            self.tell(Quit())
        status = self._process.wait(PATIENCE_S)
        self._channel.close()
        return status

    def abandon(self) -> int:
        """Be gone without a word, as a control that died; its exit status."""
        self._channel.close()
        return self._process.wait(PATIENCE_S)

    def _mirror(self, piece: Piece) -> None:
        if self._map is None:
            self._map = TempoMap(piece)
        else:
            self._map.apply(piece)


class JackServer:
    """A JACK server on the dummy driver, under a name of its own; clients find it through JACK_DEFAULT_SERVER.

    Real time where that is allowed, and a long period, so that a busy machine loses no cycle. `start` raises
    SidemanError where jackd is missing or does not come up.
    """

    RATE = 48_000
    PERIOD = 2048

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until clients can come."""
        if not shutil.which("jackd"):
            raise SidemanError("there is no jackd here (on Debian and Ubuntu: sudo apt install jackd2)")
        for priority in (["-R", "-P", "70"], ["-r"]):
            driver = ["-d", "dummy", "-r", str(self.RATE), "-p", str(self.PERIOD)]
            self._process = subprocess.Popen(
                ["jackd", "-n", self.name, *priority, *driver], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if self._answers():
                return
            self.stop()
        raise SidemanError("jackd does not come up here")

    def _answers(self) -> bool:
        deadline_s = time.monotonic() + START_S
        while self._process and self._process.poll() is None and time.monotonic() < deadline_s:
            if start_probe(self.name).wait() == 0:
                return True
        return False

    def stop(self, kill: bool = False) -> None:
        """Stop it, or kill it. May be called twice."""
        process, self._process = self._process, None
        if process:
            if kill:
                process.kill()
            else:
                process.terminate()
            process.wait()
