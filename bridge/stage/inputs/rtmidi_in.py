"""A MIDI input through python-rtmidi: ALSA's sequencer, CoreMIDI, WinMM."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

from bridge.stage.inputs.port import Deliver
from bridge.stage.inputs.stamp import Stamper
from engines.errors import SidemanError

COARSE = sys.platform == "win32"
"""WinMM stamps in whole milliseconds: our own clock, read in its callback, is better."""


class RtMidiInput:
    """A virtual port of ours, or an existing one; rtmidi calls in a thread of its own."""

    poll_ns = 0

    def __init__(self, client_name: str, name: str, existing: str | None, deliver: Deliver) -> None:
        self.name = existing or f"{client_name}:{name}"
        self._client = client_name
        self._own_name = name
        self._existing = existing
        self._deliver = deliver
        self._midi: Any = None
        self._stamper = Stamper()
        self._stamp_ns = 0.0
        try:
            self._open()
        except Exception as error:  # rtmidi's own kinds, and a port that went in between
            raise SidemanError(f"the MIDI port {self.name} cannot be opened ({error})") from None

    def poll(self) -> None:
        """rtmidi calls by itself."""

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in in_ports(self._midi)

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in in_ports(self._midi):
            return False
        self.close()
        with contextlib.suppress(Exception):
            self._open()
            return True
        return False

    def connections(self) -> tuple[str, ...] | None:
        """rtmidi does not tell."""
        return None

    def close(self) -> None:
        """Close the port."""
        if self._midi:
            self._midi.close_port()

    def _open(self) -> None:
        import rtmidi

        self._midi = rtmidi.MidiIn(name=self._client)
        self._midi.ignore_types(sysex=True, timing=False, active_sense=True)
        self._stamper = Stamper()
        self._midi.set_callback(self._came)
        if self._existing:
            self._midi.open_port(in_ports(self._midi).index(self._existing), name=self._own_name)
        else:
            self._midi.open_virtual_port(self._own_name)

    def _came(self, event: tuple[list[int], float], _data: object) -> None:
        """A message, and the seconds since the one before, as the system stamped both."""
        now_ns = time.perf_counter_ns()
        data, delta_s = event
        self._stamp_ns += delta_s * 1e9
        self._deliver(bytes(data), now_ns if COARSE else self._stamper.at_ns(self._stamp_ns, now_ns))


def in_ports(midi: Any) -> tuple[str, ...]:
    """The ports that exist, to hear from."""
    try:
        return tuple(midi.get_ports())
    except Exception:  # the system went away
        return ()
