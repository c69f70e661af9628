"""MIDI ports through python-rtmidi: ALSA's sequencer, CoreMIDI, WinMM."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from bridge.stage.inputs.rtmidi_in import RtMidiInput, in_ports
from bridge.stage.outputs import alsa
from bridge.stage.outputs.output import Rack
from bridge.stage.outputs.ports import System
from engines.errors import SidemanError


def system() -> System | str:
    """The native MIDI system, or why it cannot be had."""
    try:
        import rtmidi

        probe: Any = rtmidi.MidiOut(name="sideman look")
        ear: Any = rtmidi.MidiIn(name="sideman look")
    except ImportError as error:
        return f"python-rtmidi does not load ({error}); on Linux install libasound2"
    except Exception as error:  # rtmidi has a SystemError of its own, where there is no sequencer
        return f"the system's MIDI does not answer ({error})"

    def destinations() -> tuple[str, ...]:
        return _names(probe)

    names = {"linux": "ALSA", "darwin": "CoreMIDI", "win32": "WinMM"}
    return System(
        name=names.get(sys.platform, sys.platform),
        virtual=sys.platform != "win32",
        destinations=destinations,
        make=lambda player, rack: RtMidiPort(player, rack, None),
        connect=lambda name, player, rack: RtMidiPort(player, rack, name),
        origins=lambda rack: in_ports(ear),
        hear=lambda name, existing, rack, deliver: RtMidiInput(rack.client_name, name, existing, deliver),
    )


class RtMidiPort:
    """A virtual port of ours, or an existing one. rtmidi never says that a port has gone, so the list is looked at."""

    lead_ns = 0

    def __init__(self, player: str, rack: Rack, existing: str | None) -> None:
        self._client = rack.client_name
        self._existing = existing
        self._midi: Any = None
        self.name = existing or f"{rack.client_name}:{player}"
        self._virtual_name = player
        try:
            self._open()
        except Exception as error:  # rtmidi's own kinds, and a port that went in between
            raise SidemanError(f"the MIDI port {self.name} cannot be opened ({error})") from None

    def send(self, data: bytes, at_ns: int) -> None:
        """Send now: the stage calls at the moment."""
        with contextlib.suppress(Exception):  # a vanished port shows in present()
            self._midi.send_message(data)

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in _names(self._midi)

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in _names(self._midi):
            return False
        self.close()
        with contextlib.suppress(Exception):
            self._open()
            return True
        return False

    def connections(self) -> tuple[str, ...] | None:
        """What hears our own port; rtmidi does not tell, on Linux the kernel does."""
        if self._existing or sys.platform != "linux":
            return None
        return alsa.connected_to(self._client, self._virtual_name)

    def close(self) -> None:
        """Close the port."""
        if self._midi:
            self._midi.close_port()

    def _open(self) -> None:
        import rtmidi

        self._midi = rtmidi.MidiOut(name=self._client)
        if self._existing:
            self._midi.open_port(_names(self._midi).index(self._existing), name=self._virtual_name)
        else:
            self._midi.open_virtual_port(self._virtual_name)


def _names(midi: Any) -> tuple[str, ...]:
    try:
        return tuple(midi.get_ports())
    except Exception:  # the system went away
        return ()
