"""It plays aloud while nobody listens to its MIDI, and leaves the sound to whoever does."""

from __future__ import annotations

from typing import Any

from bridge.messages.stage import Event, PlayerSetup
from bridge.stage.midi.alsa import listeners
from bridge.stage.outputs.audio import AudioOutput
from bridge.stage.outputs.target import Target
from bridge.stage.rack import Rack

CLIENTS = """\
Client info
  cur  clients : 6
  peak clients : 6
  max  clients : 192

Client   0 : "System" [Kernel Legacy]
  Port   0 : "Timer" (Rwe-) [In/Out]
    Connecting To: 130:0
Client  14 : "Midi Through" [Kernel Legacy]
  Port   0 : "Midi Through Port-0" (RWe-)
Client 128 : "sideman" [User Legacy]
  Port   0 : "drums" (R-e-) [Out]
    Connecting To: 130:0[r:0], 131:1, 130:2
  Port   1 : "perc" (R-e-) [Out]
    Connecting To: 131:0
  Port   2 : "keys" (R-e-) [Out]
Client 130 : "FLUID Synth (4711)" [User Legacy]
  Port   0 : "Synth input port" (-We-)
    Connected From: 128:0
Client 131 : "PipeWire-RT-Event" [User Legacy]
  Port   0 : "input" (-We-)
"""


def test_the_kernel_s_list_tells_who_listens() -> None:
    assert listeners(CLIENTS, "sideman", "drums") == ("FLUID Synth (4711)",)
    assert listeners(CLIENTS, "sideman", "perc") == ()  # PipeWire takes every port, heard or not
    assert listeners(CLIENTS, "sideman", "keys") == ()
    assert listeners(CLIENTS, "nobody", "drums") == ()
    assert listeners("", "sideman", "drums") == ()


def note(velocity: int) -> Event:
    return Event("drums", 0, 0, 36, velocity, 10, 0, 0)


class Kept(AudioOutput):
    """An audio output that keeps what its renderer would have been told."""

    def __init__(self, target: str, rack: Rack) -> None:
        super().__init__(PlayerSetup("drums", ()), target, rack)
        self._target = Target.parse(target)
        self.told: list[Any] = []

    def _say(self, message: Any) -> None:
        self.told.append(message)


def played(target: str) -> list[int]:
    rack = Rack("sideman")
    output = Kept(target, rack)
    output.send(note(100))
    rack.heard.add("drums")
    output.send(note(101))
    output.send(note(0))
    rack.heard = {"perc"}
    output.send(note(102))
    return [told.velocity for told in output.told]


def test_what_is_heard_elsewhere_is_not_played_aloud_but_still_ends() -> None:
    assert played("unheard") == [100, 0, 102]


def test_a_set_that_asks_for_sound_gets_it_in_any_case() -> None:
    assert played("") == [100, 101, 0, 102]
