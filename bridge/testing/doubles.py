"""What stands in for a clock, an output and a view, and remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.messages.message import Message
from bridge.messages.stage import Event, PlayerSetup
from bridge.stage.bars import Said
from bridge.stage.outbox import REPORT
from bridge.stage.rack import Rack
from bridge.stage.scheduler import Scheduler
from bridge.terminal.view import ShownBar
from bridge.testing.waiting import PATIENCE_S


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


class RecordingView:
    """A view (see bridge.terminal.view) that keeps what it was shown, and lets a test wait for it."""

    def __init__(self) -> None:
        self.bars: list[ShownBar] = []
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def bar(self, shown: ShownBar) -> None:
        """Keep a bar."""
        self.bars.append(shown)
        self._news.set()

    def say(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)
        self._news.set()

    def playhead(self, step: int) -> None:
        """Not kept."""

    def sync(self, text: str) -> None:
        """Not kept."""

    def close(self) -> None:
        """Nothing was opened."""

    async def until(self, seen: Callable[[], bool]) -> None:
        """Wait until what was shown fulfils a condition. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while not seen():
                self._news.clear()
                await self._news.wait()

    async def until_bar(self, number: int) -> None:
        """Wait for a bar."""
        await self.until(lambda: any(bar.bar >= number for bar in self.bars))

    def outcomes(self, player: str) -> list[str]:
        """How a player's bars ended."""
        return [shown.outcome for shown in self.bars if shown.player == player]


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
