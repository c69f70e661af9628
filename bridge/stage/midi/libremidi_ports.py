"""MIDI ports through pylibremidi, for Pythons that python-rtmidi has no wheels for.

The API is always named: left to itself libremidi falls back to raw ALSA devices, whose sends abort the process when
none is open. An Error of its is true when something went wrong.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import Any

from bridge.stage.midi.port import Deliver, System
from bridge.stage.midi.stamp import Stamper
from engines.errors import SidemanError

APIS = {"linux": ("ALSA_SEQ", "ALSA"), "darwin": ("COREMIDI", "CoreMIDI"), "win32": ("WINDOWS_MM", "WinMM")}

POLL_NS = 5_000_000


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
        destinations=lambda: tuple(_destinations(api)),
        make=lambda player, rack: LibremidiOut(api, f"{rack.client_name} {player}", None),
        connect=lambda existing, player, rack: LibremidiOut(api, existing, existing),
        origins=lambda rack: tuple(_origins(api)),
        hear=lambda name, existing, rack, deliver: LibremidiIn(
            api, existing or f"{rack.client_name} {name}", existing, deliver
        ),
    )


class LibremidiPort(ABC):
    """A virtual port of ours, or an existing one."""

    def __init__(self, api: Any, name: str, existing: str | None) -> None:
        self.name = name
        self._api = api
        self._existing = existing
        self._midi: Any = None
        if not self._open():
            raise SidemanError(f"the MIDI port {name} cannot be opened; is another program holding it?")

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in self._listed()

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in self._listed():
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
        self._midi = self._make()
        if self._existing:
            port = self._listed().get(self._existing)
            error = self._midi.open_port(port, self.name) if port else True
        else:
            error = self._midi.open_virtual_port(self.name)
        return not error

    @abstractmethod
    def _make(self) -> Any:
        """The library's own port, not yet open."""

    @abstractmethod
    def _listed(self) -> dict[str, Any]:
        """The ports that exist, by name."""


class LibremidiOut(LibremidiPort):
    """A way out."""

    lead_ns = 0

    def send(self, data: bytes, at_ns: int) -> None:
        """Send now: the stage calls at the moment."""
        if self._midi and self._midi.is_port_open():
            self._midi.send_message(list(data))

    def _make(self) -> Any:
        import pylibremidi

        return pylibremidi.MidiOut(pylibremidi.OutputConfiguration(), self._api)

    def _listed(self) -> dict[str, Any]:
        return _destinations(self._api)


class LibremidiIn(LibremidiPort):
    """A way in.

    It keeps what comes until it is polled; the stamps are the system's own, so that this costs no exactness.
    """

    poll_ns = POLL_NS

    def __init__(self, api: Any, name: str, existing: str | None, deliver: Deliver) -> None:
        self._deliver = deliver
        super().__init__(api, name, existing)

    def poll(self) -> None:
        """Deliver what came."""
        if self._midi:
            self._midi.poll()

    def _make(self) -> Any:
        import pylibremidi

        self._stamper = Stamper()
        settings = pylibremidi.InputConfiguration()
        settings.ignore_timing = False
        settings.on_raw_data = self._came
        return pylibremidi.MidiIn(settings, self._api)

    def _listed(self) -> dict[str, Any]:
        return _origins(self._api)

    def _came(self, data: list[int], stamp_ns: int) -> None:
        self._deliver(bytes(data), self._stamper.at_ns(stamp_ns, time.perf_counter_ns()))


def _destinations(api: Any) -> dict[str, Any]:
    return {port.display_name or port.port_name: port for port in _observer(api).get_output_ports()}


def _origins(api: Any) -> dict[str, Any]:
    return {port.display_name or port.port_name: port for port in _observer(api).get_input_ports()}


def _observer(api: Any) -> Any:
    import pylibremidi

    return pylibremidi.Observer(pylibremidi.ObserverConfiguration(), api)
