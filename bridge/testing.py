"""Parts for tests, ours and anyone's: a clock that is set by hand and an output that remembers."""

from __future__ import annotations

from collections.abc import Callable

from bridge.messages import Event, Message, PlayerSetup
from bridge.stage.outputs.output import Rack
from bridge.stage.scheduler import Scheduler


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
    scheduler: Scheduler, clock: FakeClock, until_ns: int, on_reply: Callable[[Message], None] = lambda _: None
) -> list[Event]:
    """Run a scheduler up to a time, waking exactly when it asks to be woken; returns what left, in order."""
    left = []
    while True:
        departures, replies = scheduler.due(clock.now_ns())
        left += [departure.event for departure in departures if departure.output == -1]
        for reply in replies:
            on_reply(reply)
        next_ns = scheduler.next_ns()
        if next_ns is None or next_ns > until_ns:
            clock.advance_to(until_ns)
            return left
        clock.advance_to(next_ns)
