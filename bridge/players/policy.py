"""What every player has beside its engine's parameters, and how its bars are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.messages.stage import Outcome
from bridge.players.grid import BarSpan
from engines.music import TICKS_PER_BEAT, Phrase
from engines.parameter import Parameter, Parameters

TRADE = (
    Parameter(
        name="trade_listen", kind="int", default=0, low=0, high=64, unit="bars",
        help="bars it listens in when it trades; 0: until it is its turn",
    ),
    Parameter(
        name="trade_answer", kind="int", default=0, low=0, high=64, unit="bars",
        help="bars it answers in when it trades; 0: it does not trade",
    ),
)  # fmt: skip

PLAYER_PARAMETERS = (
    Parameter(
        name="late", kind="choice", default="repeat", choices=("repeat", "rest", "alternate"),
        help="what plays when a bar is not made in time: the last bar again, silence, or a spare one",
    ),
    Parameter(
        name="commit", kind="float", default=0.0, low=0.0, high=16.0, unit="beats",
        help="how long before it starts a bar can no longer be changed",
    ),
    Parameter(
        name="fill_every", kind="int", default=0, low=0, high=64, unit="bars", help="each so many bars a fill; 0 is off"
    ),
    *TRADE,
    Parameter(name="gain", kind="float", default=0.0, low=-60.0, high=12.0, unit="dB", help="loudness, of sound"),
    Parameter(
        name="pan", kind="float", default=0.0, low=-1.0, high=1.0, help="from left (-1) to right (1), of sound"
    ),
)  # fmt: skip
"""Of every player, whatever its engine; their names are among engines.parameter.RESERVED_NAMES."""


def commit_ticks(parameters: Parameters) -> int:
    """How long before it starts a bar can no longer be changed."""
    return round(float(parameters["commit"]) * TICKS_PER_BEAT)


@dataclass(slots=True)
class Counters:
    """How a player's bars ended. Headroom is the time left when a bar arrived, as a share of the bar's length."""

    hit: int = 0
    cut: int = 0
    alternate: int = 0
    repeat: int = 0
    rest: int = 0
    hold: int = 0
    listen: int = 0
    dropped: int = 0
    headroom_last: float = 1.0
    headroom_min: float = 1.0

    @property
    def late(self) -> int:
        """Bars that were not made in time, or not whole."""
        return self.cut + self.alternate + self.repeat + self.rest

    def counts(self) -> dict[Outcome, int]:
        """Bars of each outcome."""
        return {
            "hit": self.hit, "cut": self.cut, "alternate": self.alternate, "repeat": self.repeat, "rest": self.rest,
            "hold": self.hold, "listen": self.listen,
        }  # fmt: skip

    def count(self, outcome: Outcome, headroom: float | None = None) -> None:
        """Count a bar, and its headroom if it was made in time."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if headroom is not None:
            self.headroom_last = headroom
            self.headroom_min = min(self.headroom_min, headroom)


@dataclass(frozen=True, slots=True)
class BarReport:
    """A bar that starts: what plays (General MIDI pitches), how it came about, and the counts, it included."""

    player: str
    span: BarSpan
    phrase: Phrase
    outcome: Outcome
    headroom: float
    counters: Counters


class Listener(Protocol):
    """Who wants to know what the players do: the terminal view, the OSC door."""

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None:
        """A whole bar, ahead of its time (one that was late: as it starts); the same bar again replaces it.

        Pitches are those that leave.
        """
        ...

    def on_bar(self, report: BarReport) -> None:
        """A bar starts."""
        ...

    def on_message(self, text: str) -> None:
        """One line for people."""
        ...
