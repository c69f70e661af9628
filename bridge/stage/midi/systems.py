"""What offers MIDI ports here, and the choice of one.

rtmidi where the system has virtual ports (ALSA's sequencer, CoreMIDI), pylibremidi where rtmidi has no wheels, our own
JACK client where a JACK server runs; on Windows, which has no virtual ports, a loop-back port that exists.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from bridge.stage.midi.port import OutPort, System, match
from bridge.stage.rack import Rack
from engines.errors import SidemanError

WINDOWS_REMEDY = (
    'make one: install loopMIDI, press "+" once and start Sideman again (or use "Default App Loopback (A)" of Windows '
    "MIDI Services); OSC needs no port"
)


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


def open_virtual(player: str, rack: Rack) -> OutPort:
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


def open_existing(wanted: str, player: str, rack: Rack) -> OutPort:
    """The first existing port whose name contains `wanted`, whatever the case; an exact name goes first.

    Raises SidemanError, naming the ports there are, when none does.
    """
    found, reasons = systems()
    names: list[str] = []
    for system in found:
        here = system.destinations()
        names += here
        if matching := match(here, wanted):
            return system.connect(matching, player, rack)
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
        from bridge.stage.midi import rtmidi_ports

        return rtmidi_ports.system()
    if importlib.util.find_spec("pylibremidi"):
        from bridge.stage.midi import libremidi_ports

        return libremidi_ports.system()
    return "neither python-rtmidi nor pylibremidi is installed"


def _jack() -> System | str:
    from bridge.stage.midi import jack_ports

    return jack_ports.system()
