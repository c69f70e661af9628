"""MIDI ports: one small protocol of ours, and the choice of what offers them here.

rtmidi where the system has virtual ports (ALSA's sequencer, CoreMIDI), pylibremidi where rtmidi has no wheels, our own
JACK client where a JACK server runs; on Windows, which has no virtual ports, a loop-back port that exists.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bridge.stage.inputs.port import Deliver, InPort
from bridge.stage.outputs.output import Rack
from engines.errors import SidemanError

WINDOWS_REMEDY = (
    'make one: install loopMIDI, press "+" once and start Sideman again (or use "Default App Loopback (A)" of Windows '
    "MIDI Services); OSC needs no port"
)


class MidiPort(Protocol):
    """An open way out for MIDI.

    name: as other programs see it.
    """

    name: str

    @property
    def lead_ns(self) -> int:
        """How long before its moment an event must be sent."""
        ...

    def send(self, data: bytes, at_ns: int) -> None:
        """Let a message out at a time of perf_counter, or at once if it is late. Never waits."""
        ...

    def present(self) -> bool:
        """Whether the port can still be sent to."""
        ...

    def reopen(self) -> bool:
        """Try to get a lost port back; whether that worked. Quick, for it is called while others play."""
        ...

    def connections(self) -> tuple[str, ...] | None:
        """What our own port is connected to; None where the system does not tell."""
        ...

    def close(self) -> None:
        """Let out what was sent and close. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """A system of MIDI ports found on this machine.

    name: for people; virtual: whether ports of our own can be made
    destinations: ports that exist, to send to; origins: those to hear from
    make opens a virtual port of that name to send to; connect opens an existing one.
    hear opens a way in under a name: a virtual port, or with a second name that existing one.
    """

    name: str
    virtual: bool
    destinations: Callable[[], tuple[str, ...]]
    make: Callable[[str, Rack], MidiPort]
    connect: Callable[[str, str, Rack], MidiPort]
    origins: Callable[[Rack], tuple[str, ...]]
    hear: Callable[[str, str | None, Rack, Deliver], InPort]


def systems() -> tuple[list[System], list[str]]:
    """What offers MIDI ports here, the preferred first, and why the others do not (a line each)."""
    found, reasons = [], []
    for look in (_native, _jack):
        result = look()
        if isinstance(result, str):
            reasons.append(result)
        else:
            found.append(result)
    return found, reasons


def list_ports() -> list[tuple[str, str]]:
    """(system, port) of every existing port that can be played to."""
    return [(system.name, port) for system in systems()[0] for port in system.destinations()]


def open_virtual(player: str, rack: Rack) -> MidiPort:
    """A port of our own for a player, or on Windows an existing loop-back port.

    Raises SidemanError, with the remedy, when nothing here offers one.
    """
    found, reasons = systems()
    for system in found:
        if system.virtual:
            return system.make(player, rack)
    for system in found:
        names = system.destinations()
        for wanted in (player.lower(), "loop"):
            for name in names:
                if wanted in name.lower():
                    return system.connect(name, player, rack)
        raise SidemanError(
            f'{player}: Windows has no virtual MIDI ports, and no port here is named after {player!r} or "loop" '
            f"({_listed(names)}); {WINDOWS_REMEDY}"
        )
    raise SidemanError(f"{player}: no MIDI here: {'; '.join(reasons)}")


def open_existing(wanted: str, player: str, rack: Rack) -> MidiPort:
    """The first existing port whose name contains `wanted`, whatever the case; an exact name goes first.

    Raises SidemanError, naming the ports there are, when none does.
    """
    found, reasons = systems()
    names: list[str] = []
    for system in found:
        here = system.destinations()
        names += here
        matching = [name for name in here if wanted.lower() in name.lower()]
        matching.sort(key=lambda name: name.lower() != wanted.lower())
        if matching:
            return system.connect(matching[0], player, rack)
    if not found:
        raise SidemanError(f"{player}: no MIDI here: {'; '.join(reasons)}")
    raise SidemanError(f"{player}: no MIDI port matches {wanted!r}; there are: {_listed(tuple(names))}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "no ports at all"


def _native() -> System | str:
    """ALSA's sequencer, CoreMIDI or WinMM, through whichever library is here."""
    if sys.platform == "linux" and not Path("/dev/snd/seq").exists():
        return "no ALSA sequencer (/dev/snd/seq; outside a container: sudo modprobe snd-seq)"
    if importlib.util.find_spec("rtmidi"):
        from bridge.stage.outputs import rtmidi_port

        return rtmidi_port.system()
    if importlib.util.find_spec("pylibremidi"):
        from bridge.stage.outputs import libremidi_port

        return libremidi_port.system()
    return "neither python-rtmidi nor pylibremidi is installed"


def _jack() -> System | str:
    from bridge.stage.outputs import jack_port

    return jack_port.system()
