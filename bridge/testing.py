"""Parts for tests, ours and anyone's: a clock that is set by hand, an output that remembers, a stage, a JACK server."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from bridge.channel import Channel, inherited_by, module_command, pair
from bridge.messages.message import Message
from bridge.messages.stage import EpochStarted, Event, FromStage, Left, Piece, PlayerSetup, Quit, Setup
from bridge.stage.bars import Said
from bridge.stage.midi.jack_client import start_probe
from bridge.stage.outbox import REPORT
from bridge.stage.rack import Rack
from bridge.stage.scheduler import Scheduler
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError

START_S = 10.0
"""How long a JACK server may take to come up."""

PATIENCE_S = 20.0
"""How long a stage may take to say what is waited for."""

LOOK_S = 0.02

T = TypeVar("T")


def until(there: Callable[[], T], what: object = "what was waited for", woken_by: threading.Event | None = None) -> T:
    """Wait until a condition holds; returns what it gives. Raises TimeoutError that names what did not come.

    woken_by: is set by the thread that brings it. Without one it is another program's doing that nobody tells of (a
    port in JACK's list, a line in a log) and is looked at fifty times a second.
    """
    woken, deadline_s = woken_by or threading.Event(), time.monotonic() + PATIENCE_S
    while True:
        woken.clear()
        if found := there():
            return found
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{what} did not come")
        woken.wait(left_s if woken_by else LOOK_S)


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The time it was set to."""
        return self._now_ns

    def advance(self, ns: int) -> int:
        """Go on by ns nanoseconds; returns the new time."""
        self._now_ns += ns
        return self._now_ns

    def advance_to(self, at_ns: int) -> int:
        """Go on to a time; never back. Returns the time."""
        self._now_ns = max(self._now_ns, at_ns)
        return self._now_ns


class RecordingOutput:
    """An output (see bridge.stage.outputs.output) that keeps what it was sent.

    score: (song tick, pitch, velocity) of each event, in order; a velocity of 0 is a note-off.
    """

    lead_ns = 0

    def __init__(self, player: PlayerSetup, target: str, rack: Rack) -> None:
        self.name = f"{player.name} recording"
        self.events: list[Event] = []
        self.panics = 0
        self.closed = False

    @property
    def score(self) -> list[tuple[int, int, int]]:
        """What was sent."""
        return [(event.song_tick, event.pitch, event.velocity) for event in self.events]

    def open(self) -> str:
        """Nothing to open."""
        return f"{self.name}: kept in memory"

    def send(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def panic(self) -> None:
        """Count a panic."""
        self.panics += 1

    def poll(self, now_ns: int) -> list[Message]:
        """Nothing happens to it."""
        return []

    def close(self) -> None:
        """Remember having been closed."""
        self.closed = True


def play_until(
    scheduler: Scheduler, clock: FakeClock, until_ns: int, on_reply: Callable[[Said], None] = lambda _: None
) -> list[Event]:
    """Run a scheduler up to a time, waking exactly when it asks to be woken; returns what left, in order."""
    left: list[Event] = []
    while True:
        departures, replies = scheduler.due(clock.now_ns())
        reported = (departure.event for departure in departures if departure.output == REPORT)
        left += (event for event in reported if isinstance(event, Event))
        for reply in replies:
            on_reply(reply)
        next_ns = scheduler.next_ns()
        if next_ns is None or next_ns > until_ns:
            clock.advance_to(until_ns)
            return left
        clock.advance_to(next_ns)


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

    def close(self) -> None:
        """Have it end. May be called twice."""
        if self._process.poll() is None:
            self.tell(Quit())
            self._process.wait(PATIENCE_S)
        self._channel.close()

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
