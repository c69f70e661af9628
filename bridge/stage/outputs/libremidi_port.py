"""MIDI ports through pylibremidi, for Pythons that python-rtmidi has no wheels for.

The API is always named: left to itself libremidi falls back to raw ALSA devices, whose sends abort the process when
none is open. An Error of its is true when something went wrong.
"""

from __future__ import annotations

import sys
from typing import Any

from bridge.stage.inputs.libremidi_in import LibremidiInput, in_ports
from bridge.stage.outputs.ports import System
from engines.errors import SidemanError

APIS = {"linux": ("ALSA_SEQ", "ALSA"), "darwin": ("COREMIDI", "CoreMIDI"), "win32": ("WINDOWS_MM", "WinMM")}


def system() -> System | str:
    """The native MIDI system, or why it cannot be had."""
    if sys.platform not in APIS:
        return f"pylibremidi knows no MIDI of {sys.platform}"
    constant, name = APIS[sys.platform]
    try:
        import pylibremidi
    except ImportError as error:
        return f"pylibremidi does not load ({error})"
    api = getattr(pylibremidi.API, constant)
    if api not in pylibremidi.available_apis():
        return f"{name} does not answer"
    return System(
        name=name,
        virtual=sys.platform != "win32",
        destinations=lambda: tuple(_listed(api)),
        make=lambda player, rack: LibremidiPort(api, f"{rack.client_name} {player}", None),
        connect=lambda existing, player, rack: LibremidiPort(api, existing, existing),
        origins=lambda rack: tuple(in_ports(api)),
        hear=lambda name, existing, rack, deliver: LibremidiInput(api, f"{rack.client_name} {name}", existing, deliver),
    )


class LibremidiPort:
    """A virtual port of ours, or an existing one."""

    lead_ns = 0

    def __init__(self, api: Any, name: str, existing: str | None) -> None:
        self.name = name
        self._api = api
        self._existing = existing
        self._midi: Any = None
        if not self._open():
            raise SidemanError(f"the MIDI port {name} cannot be opened; is another program holding it?")

    def send(self, data: bytes, at_ns: int) -> None:
        """Send now: the stage calls at the moment."""
        if self._midi and self._midi.is_port_open():
            self._midi.send_message(list(data))

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in _listed(self._api)

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in _listed(self._api):
            return False
        self.close()
        return self._open()

    def connections(self) -> tuple[str, ...] | None:
        """libremidi does not tell."""
        return None

    def close(self) -> None:
        """Close the port."""
        if self._midi:
            self._midi.close_port()
            self._midi = None

    def _open(self) -> bool:
        import pylibremidi

        self._midi = pylibremidi.MidiOut(pylibremidi.OutputConfiguration(), self._api)
        if self._existing:
            port = _listed(self._api).get(self._existing)
            error = self._midi.open_port(port, self.name) if port else True
        else:
            error = self._midi.open_virtual_port(self.name)
        return not error


def _listed(api: Any) -> dict[str, Any]:
    import pylibremidi

    observer = pylibremidi.Observer(pylibremidi.ObserverConfiguration(), api)
    return {port.display_name or port.port_name: port for port in observer.get_output_ports()}
