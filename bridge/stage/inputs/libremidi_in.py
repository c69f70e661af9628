"""A MIDI input through pylibremidi, for Pythons that python-rtmidi has no wheels for.

It keeps what comes until it is polled; the stamps are the system's own, so that this costs no exactness.
"""

from __future__ import annotations

import time
from typing import Any

from bridge.stage.inputs.port import Deliver
from bridge.stage.inputs.stamp import Stamper
from engines.errors import SidemanError

POLL_NS = 5_000_000


class LibremidiInput:
    """A virtual port of ours, or an existing one."""

    poll_ns = POLL_NS

    def __init__(self, api: Any, name: str, existing: str | None, deliver: Deliver) -> None:
        self.name = existing or name
        self._api = api
        self._own_name = name
        self._existing = existing
        self._deliver = deliver
        self._stamper = Stamper()
        self._midi: Any = None
        if not self._open():
            raise SidemanError(f"the MIDI port {self.name} cannot be opened; is another program holding it?")

    def poll(self) -> None:
        """Deliver what came."""
        if self._midi:
            self._midi.poll()

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in in_ports(self._api)

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in in_ports(self._api):
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

        self._stamper = Stamper()
        settings = pylibremidi.InputConfiguration()
        settings.ignore_timing = False
        settings.on_raw_data = self._came
        self._midi = pylibremidi.MidiIn(settings, self._api)
        if self._existing:
            port = in_ports(self._api).get(self._existing)
            error = self._midi.open_port(port, self.name) if port else True
        else:
            error = self._midi.open_virtual_port(self._own_name)
        return not error

    def _came(self, data: list[int], stamp_ns: int) -> None:
        self._deliver(bytes(data), self._stamper.at_ns(stamp_ns, time.perf_counter_ns()))


def in_ports(api: Any) -> dict[str, Any]:
    """The ports that exist, to hear from, by name."""
    import pylibremidi

    observer = pylibremidi.Observer(pylibremidi.ObserverConfiguration(), api)
    return {port.display_name or port.port_name: port for port in observer.get_input_ports()}
