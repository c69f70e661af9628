"""What the stage plays on: the Output protocol, and how an output is found.

An output is found through the entry-point group `sideman.outputs`; ours are registered the same way as anyone's.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from bridge.messages.message import Message
from bridge.messages.stage import EpochStarted, Event, OutputSetup, Piece, PlayerSetup, Stopped
from bridge.stage.rack import Rack
from engines.errors import SidemanError
from engines.music import LoopFile


class Output(Protocol):
    """One player's way out, made by `Class(player, target, rack)`.

    Everything is called from the stage's one thread, so nothing here may wait, but for `open` and `close`.

    lead_ns: how long before its moment an event must be handed over; read once, after `open`.
    """

    lead_ns: int

    def open(self) -> str:
        """Acquire what it needs; returns a line for people. Raises SidemanError with the remedy when it cannot."""
        ...

    def send(self, event: Event) -> None:
        """Let an event out at event.at_ns (perf_counter); one that is late, at once. Never waits, never raises."""
        ...

    def panic(self) -> None:
        """Silence whatever may sound on the other side, known or not."""
        ...

    def poll(self, now_ns: int) -> list[Message]:
        """Called about four times a second: PortChanged, Connections or Trouble, whatever is new."""
        ...

    def close(self) -> None:
        """Let everything out that was sent and give up what `open` acquired. May be called twice."""
        ...


# What an output may do besides; the stage looks, once it is open, which of these it has


@runtime_checkable
class PlaysLoops(Protocol):
    """An output that plays audio files on the grid."""

    def cue(self, loop: LoopFile) -> None:
        """A bar with this loop is to come, or may be: have it ready."""
        ...

    def loop_starts(self, loop: LoopFile | None, tick: int, length_ticks: int) -> None:
        """From stage tick `tick` on, for so long, the loop is what plays; None: silence.

        Told as soon as that is sure: when the tick is frozen. A bar that came late began at a tick that is over; its
        loop is played from where it would be by now. Silence is told only where a loop came before; its length is 0
        where it is for good: at a stop, or before a new epoch.
        """
        ...


@runtime_checkable
class Settles(Protocol):
    """An output that starts something which takes its time."""

    def settle(self) -> None:
        """Wait a moment for it: called once, when all outputs are open, so that what they start comes up together."""
        ...


@runtime_checkable
class FollowsTimeline(Protocol):
    """An output that keeps a mirror of the timeline (bridge/timing/timeline.py)."""

    def timeline(self, message: Piece | EpochStarted | Stopped) -> None:
        """What has happened; the first is a Piece. An output with a latency is told times that are earlier by it."""
        ...


@runtime_checkable
class SendsClock(Protocol):
    """An output that sends MIDI clock where a set asks for it."""

    def clock(self, status: int, data: tuple[int, ...], at_ns: int) -> None:
        """Send F8, FA, FB, FC, or F2 with two bytes of data, like an event: handed over lead_ns before at_ns."""
        ...


@runtime_checkable
class SendsRaw(Protocol):
    """An output that passes on what is played on an input besides notes."""

    def raw(self, data: tuple[int, ...]) -> None:
        """Send a channel message at once, on the player's channel."""
        ...


@runtime_checkable
class Mixes(Protocol):
    """An output with a fader."""

    def mute(self, on: bool) -> None:
        """Silence, or not, without a click. Later notes do not come while it is on; loops do, and go on unheard."""
        ...

    def mix(self, gain_db: float, pan: float) -> None:
        """How loud, and where from -1 (left) to 1 (right)."""
        ...


@runtime_checkable
class HasDevice(Protocol):
    """An output with a device that takes its time, for `sideman latency`; read once it is open."""

    @property
    def latency_ns(self) -> int:
        """How long before it is heard a note has to be handed over; over lead_ns if all is played later, evenly."""
        ...

    @property
    def device_ns(self) -> int:
        """How much of that is the device's own."""
        ...


def make_output(setup: OutputSetup, player: PlayerSetup, rack: Rack) -> Output:
    """Make (and not open) the output that a set asks for.

    Raises SidemanError when no package offers its kind.
    """
    found = {entry.name: entry for entry in entry_points(group="sideman.outputs")}
    if setup.kind not in found:
        known = ", ".join(sorted(found)) or "none (is sideman installed?)"
        raise SidemanError(f"{player.name}: there is no output {setup.kind!r}; there are: {known}")
    output: Output = found[setup.kind].load()(player, setup.target, rack)
    return output
