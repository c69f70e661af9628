"""What every source of tempo is to the stage: it says where its own beat is, and the follower bends ours to meet it.

The timeline stays the stage's own (docs/ARCHITECTURE.md, Time); no source ever moves a tick that is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.messages.message import Trouble
from bridge.messages.sync import SourcePlays, SourceStops, SyncKind


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a source is: its own position in ticks of ours (960 a beat) at at_ns (perf_counter), and its tempo then.

    grid_ticks: where the position is known only but for a multiple of so many ticks; 0: it is known
    """

    tick: float
    at_ns: int
    tempo_mbpm: int
    grid_ticks: int = 0


SourceEvent = Reference | SourcePlays | SourceStops | Trouble
"""What a source has to tell; Trouble is one line for people, which control shows."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source does.

    locked: its tempo and phase are known; holdover: it was locked and has stopped telling; peers: Link's
    """

    locked: bool
    holdover: bool
    tempo_mbpm: int
    peers: int = 0


class Source(Protocol):
    """Called from the stage's one thread, so nothing here may wait, but for `open` and `close`."""

    @property
    def kind(self) -> SyncKind:
        """Its word in a set file."""
        ...

    @property
    def tolerance_ns(self) -> int:
        """How far its references scatter now: smaller errors are left alone."""
        ...

    def open(self) -> str:
        """Acquire what it needs; returns a line for people. Raises SidemanError with the remedy when it cannot."""
        ...

    def poll(self, now_ns: int) -> list[SourceEvent]:
        """What is new. Called at least every 20 ms, and right after MIDI came in."""
        ...

    def set_tempo(self, tempo_mbpm: int, now_ns: int) -> bool:
        """Have everyone who follows this source play at a tempo; False where that cannot be done from here."""
        ...

    def play(self, position_tick: int, at_ns: int) -> None:
        """Start the others, as far as the source has that; what comes of it, it tells as anyone's start."""
        ...

    def stop(self, at_ns: int) -> None:
        """Stop the others, as far as the source has that."""
        ...

    def state(self) -> SourceStatus:
        """How it does now."""
        ...

    def close(self) -> None:
        """Give up what `open` acquired. May be called twice."""
        ...
