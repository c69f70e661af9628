"""Which MIDI port is chosen, what is said where there is none, and what happens when one goes."""

import pytest

from bridge.messages.stage import Connections, Event, PlayerSetup, PortChanged
from bridge.stage.midi import systems
from bridge.stage.midi.port import System
from bridge.stage.outputs.midi import RETRY_NS, MidiOutput
from bridge.stage.outputs.osc import OscOutput
from bridge.stage.rack import Rack
from engines.errors import SidemanError

DRUMS = PlayerSetup("drums", (), 10)


class Port:
    """A port in memory, which can be pulled out."""

    lead_ns = 5_000_000

    def __init__(self, name):
        self.name = name
        self.sent = []
        self.here = True
        self.can_reopen = True
        self.tries = 0
        self.wires = ()
        self.closed = 0

    def send(self, data, at_ns):
        self.sent.append((data, at_ns))

    def present(self):
        return self.here

    def reopen(self):
        self.tries += 1
        self.here = self.can_reopen
        return self.here

    def connections(self):
        return self.wires

    def close(self):
        self.closed += 1


def machine(monkeypatch, *present, reasons=()):
    """A machine with these systems: (name, has virtual ports, existing ports). Returns the ports that get opened."""
    opened = []

    def opening(name):
        opened.append(Port(name))
        return opened[-1]

    made = [
        System(
            name=name,
            virtual=virtual,
            destinations=lambda existing=existing: existing,
            make=lambda player, rack: opening(f"{rack.client_name}:{player}"),
            connect=lambda existing, player, rack: opening(existing),
            origins=lambda rack: (),
            hear=lambda name, existing, rack, deliver: None,
        )
        for name, virtual, existing in present
    ]
    monkeypatch.setattr(systems, "systems", lambda: (made, list(reasons)))
    return opened


def output(target=""):
    return MidiOutput(DRUMS, target, Rack("sideman"))


def event(pitch, velocity, at_ns=123):
    return Event("drums", 0, 0, pitch, velocity, 10, at_ns, 0)


def test_a_player_gets_a_port_of_its_own_on_the_first_system_that_makes_them(monkeypatch):
    opened = machine(monkeypatch, ("ALSA", True, ("Synth",)), ("JACK", True, ()))
    midi = output()
    assert midi.open() == "MIDI sideman:drums, channel 10"
    assert midi.lead_ns == 5_000_000
    midi.send(event(36, 100))
    midi.send(event(36, 0, 456))
    assert opened[0].sent == [(b"\x99\x24\x64", 123), (b"\x89\x24\x40", 456)]


@pytest.mark.parametrize("existing", [("MIDI out", "loopMIDI Port"), ("loop", "My Drums")])
def test_on_windows_the_first_port_that_matches_is_taken(monkeypatch, existing):
    opened = machine(monkeypatch, ("WinMM", False, existing))
    output().open()
    assert opened[0].name == existing[1]


def test_on_windows_without_a_loop_the_remedy_is_said(monkeypatch):
    machine(monkeypatch, ("WinMM", False, ("Microsoft GS Wavetable Synth",)))
    with pytest.raises(SidemanError) as raised:
        output().open()
    said = str(raised.value)
    assert "\n" not in said
    for part in ("drums", "Microsoft GS Wavetable Synth", "loopMIDI", "Windows MIDI Services", "OSC"):
        assert part in said


def test_without_any_midi_the_reasons_are_said(monkeypatch):
    machine(monkeypatch, reasons=("no ALSA sequencer", "no JACK server runs"))
    for target in ("", "synth"):
        with pytest.raises(SidemanError, match="drums: no MIDI here: no ALSA sequencer; no JACK server runs"):
            output(target).open()


def test_an_existing_port_is_found_by_part_of_its_name(monkeypatch):
    opened = machine(monkeypatch, ("ALSA", True, ("Synth 14:0", "TR-8S 20:0", "tr")), ("JACK", True, ("fluid:midi",)))
    output("tr-8s").open()
    output("TR").open()
    output("FLUID").open()
    assert [port.name for port in opened] == ["TR-8S 20:0", "tr", "fluid:midi"]


def test_an_unknown_port_lists_those_there_are(monkeypatch):
    machine(monkeypatch, ("ALSA", True, ("Synth 14:0",)), ("JACK", True, ("fluid:midi",)))
    with pytest.raises(SidemanError, match=r"drums: no MIDI port matches 'organ'; there are: Synth 14:0, fluid:midi$"):
        output("organ").open()


def test_a_lost_port_is_told_once_waited_for_and_silenced_when_it_is_back(monkeypatch):
    opened = machine(monkeypatch, ("ALSA", True, ("Synth",)))
    midi = output("synth")
    midi.open()
    port = opened[0]
    port.wires = ("a",)
    assert midi.poll(0) == [Connections({"Synth": ("a",)})]
    assert midi.poll(1) == []
    port.here = port.can_reopen = False
    assert midi.poll(2) == [PortChanged("Synth", False, "MIDI port Synth is gone; waiting for it")]
    midi.send(event(36, 100))
    assert port.sent == []
    for at_ns in range(3, RETRY_NS, RETRY_NS // 4):
        assert midi.poll(at_ns) == []
    assert port.tries == 1
    assert midi.poll(2 + RETRY_NS) == []
    assert port.tries == 2
    port.can_reopen = True
    back = midi.poll(3 + 2 * RETRY_NS)
    assert back == [PortChanged("Synth", True, "MIDI port Synth is back"), Connections({"Synth": ("a",)})]
    assert [data for data, _ in port.sent] == [b"\xb9\x40\x00", b"\xb9\x7b\x00", b"\xb9\x78\x00"]
    midi.send(event(36, 100))
    assert port.sent[-1] == (b"\x99\x24\x64", 123)


def test_clock_and_what_is_passed_on_leave_as_they_are_but_on_our_channel(monkeypatch):
    opened = machine(monkeypatch, ("ALSA", True, ()))
    midi = output()
    midi.open()
    midi.clock(0xF2, (5, 1), 1_000)
    midi.clock(0xFB, (), 1_000)
    midi.clock(0xF8, (), 2_000)
    midi.raw((0xB0, 7, 100))
    midi.raw((0xE3, 0, 64))
    sent = [(b"\xf2\x05\x01", 1_000), (b"\xfb", 1_000), (b"\xf8", 2_000), (b"\xb9\x07\x64", 0), (b"\xe9\x00\x40", 0)]
    assert opened[0].sent == sent


def test_closing_twice_is_closing_once(monkeypatch):
    opened = machine(monkeypatch, ("ALSA", True, ()))
    midi = output()
    midi.close()
    midi.open()
    midi.close()
    midi.close()
    midi.send(event(36, 100))
    midi.panic()
    assert (opened[0].closed, opened[0].sent) == (1, [])


def test_what_this_machine_has_is_found_out_without_an_error():
    found, reasons = systems.systems()
    assert len(found) + len(reasons) == 2
    assert all(reason and "\n" not in reason for reason in reasons)
    assert all(isinstance(name, str) for system in found for name in system.destinations())


@pytest.mark.parametrize("target", ["nowhere", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", ":9000", "host:port"])
def test_an_osc_target_that_is_none_is_refused(target):
    with pytest.raises(SidemanError, match="osc:HOST:PORT"):
        OscOutput(DRUMS, target, Rack("sideman")).open()
