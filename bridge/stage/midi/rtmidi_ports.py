"""MIDI ports through python-rtmidi: ALSA's sequencer, CoreMIDI, WinMM."""

from __future__ import annotations

import contextlib
import sys
import time
from abc import ABC, abstractmethod
from typing import Any

from bridge.stage.midi import alsa
from bridge.stage.midi.port import Deliver, System
from bridge.stage.midi.stamp import Stamper
from engines.errors import SidemanError

COARSE = sys.platform == "win32"
"""WinMM stamps in whole milliseconds: our own clock, read in its callback, is better."""


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

    names = {"linux": "ALSA", "darwin": "CoreMIDI", "win32": "WinMM"}
    return System(
        name=names.get(sys.platform, sys.platform),
        virtual=sys.platform != "win32",
        destinations=lambda: _names(probe),
        make=lambda player, rack: RtMidiOut(rack.client_name, player, None),
        connect=lambda name, player, rack: RtMidiOut(rack.client_name, player, name),
        origins=lambda rack: _names(ear),
        hear=lambda name, existing, rack, deliver: RtMidiIn(rack.client_name, name, existing, deliver),
    )


class RtMidiPort(ABC):
    """A virtual port of ours, or an existing one. rtmidi never says that a port has gone, so the list is looked at."""

    def __init__(self, client_name: str, name: str, existing: str | None) -> None:
        self.name = existing or f"{client_name}:{name}"
        self._client = client_name
        self._own_name = name
        self._existing = existing
        self._midi: Any = None
        try:
            self._open()
        except Exception as error:  # rtmidi's own kinds, and a port that went in between
            raise SidemanError(f"the MIDI port {self.name} cannot be opened ({error})") from None

    def present(self) -> bool:
        """A virtual port is ours to keep; another is there while it is listed."""
        return not self._existing or self._existing in _names(self._midi)

    def reopen(self) -> bool:
        """Open the port again once it is listed."""
        if self._existing not in _names(self._midi):
            return False
        with contextlib.suppress(Exception):
            self._open()
            return True
        return False

    def connections(self) -> tuple[str, ...] | None:
        """rtmidi does not tell."""
        return None

    def close(self) -> None:
        """Close the port, and leave the system: with our callback in it, it would never be collected."""
        midi, self._midi = self._midi, None
        if midi:
            midi.close_port()
            midi.delete()

    def _open(self) -> None:
        midi = self._make()
        self.close()
        self._midi = midi
        if self._existing:
            self._midi.open_port(_names(self._midi).index(self._existing), name=self._own_name)
        else:
            self._midi.open_virtual_port(self._own_name)

    @abstractmethod
    def _make(self) -> Any:
        """The library's own port, not yet open."""


class RtMidiOut(RtMidiPort):
    """A way out."""

    lead_ns = 0

    def send(self, data: bytes, at_ns: int) -> None:
        """Send now: the stage calls at the moment."""
        with contextlib.suppress(Exception):  # a vanished port shows in present()
            self._midi.send_message(data)

    def connections(self) -> tuple[str, ...] | None:
        """What hears our own port; rtmidi does not tell, on Linux the kernel does."""
        if self._existing or sys.platform != "linux":
            return None
        return alsa.connected_to(self._client, self._own_name)

    def _make(self) -> Any:
        import rtmidi

        return rtmidi.MidiOut(name=self._client)


class RtMidiIn(RtMidiPort):
    """A way in; rtmidi calls in a thread of its own."""

    poll_ns = 0

    def __init__(self, client_name: str, name: str, existing: str | None, deliver: Deliver) -> None:
        self._deliver = deliver
        self._stamp_ns = 0.0
        super().__init__(client_name, name, existing)

    def poll(self) -> None:
        """rtmidi calls by itself."""

    def _make(self) -> Any:
        import rtmidi

        self._stamper = Stamper()
        midi: Any = rtmidi.MidiIn(name=self._client)
        midi.ignore_types(sysex=True, timing=False, active_sense=True)
        midi.set_callback(self._came)
        return midi

    def _came(self, event: tuple[list[int], float], _data: object) -> None:
        """A message, and the seconds since the one before, as the system stamped both."""
        now_ns = time.perf_counter_ns()
        data, delta_s = event
        self._stamp_ns += delta_s * 1e9
        self._deliver(bytes(data), now_ns if COARSE else self._stamper.at_ns(self._stamp_ns, now_ns))


def _names(midi: Any) -> tuple[str, ...]:
    """The ports that exist, to send to or to hear from, whichever `midi` is."""
    try:
        return tuple(midi.get_ports())
    except Exception:  # the system went away
        return ()
