"""What the timeline follows: what control asks of the stage, and what the source does."""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.messages.message import Message

SyncKind = Literal["internal", "link", "midi", "jack"]


class SyncSetup(msgspec.Struct, frozen=True):
    """What the timeline follows.

    target: the MIDI port of a clock; quantum_ticks: a bar of Link's, which downbeats meet
    start_stop: whether the source starts and stops us, and we it (Link; a MIDI clock and JACK always do)
    """

    kind: SyncKind = "internal"
    target: str = ""
    quantum_ticks: int = 3840
    start_stop: bool = False


class Sync(Message, frozen=True):
    """Follow something else from now on; what plays goes on, and its bars are kept."""

    sync: SyncSetup


class SourceState(Message, frozen=True):
    """How well the timeline follows its source, about four times a second while there is one.

    locked: the source's tempo and phase are known; holdover: it has stopped telling, and its last tempo is kept
    phase_error_us: how far our tick lies behind the source's now (median since the last message); peers: Link's
    """

    kind: SyncKind
    locked: bool
    holdover: bool
    tempo_mbpm: int
    phase_error_us: float
    peers: int = 0


class SourcePlays(Message, frozen=True):
    """The source has started, continued or been moved: song tick position_tick is at at_ns.

    -1: it has no song position (Link); we play on from where we are, in time with its bars.
    """

    position_tick: int
    at_ns: int


class SourceStops(Message, frozen=True):
    """The source has stopped at at_ns."""

    at_ns: int
