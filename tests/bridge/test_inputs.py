"""What comes in on MIDI inputs: bounded, in order, by port names that come and go; and no end of a note is lost."""

import select
import threading

import pytest

from bridge.messages.hearing import InputSetup
from bridge.messages.message import Trouble
from bridge.messages.stage import Connections, PortChanged
from bridge.stage.inputs import input as input_module
from bridge.stage.inputs.input import FLOOD_OVER_NS, RETRY_NS
from bridge.stage.inputs.inputs import Inputs
from bridge.stage.inputs.mailbox import WAITING_MAX, Mailbox, RawMidi
from bridge.stage.midi.port import System
from bridge.stage.midi.stamp import Stamper
from bridge.stage.rack import Rack
from engines.errors import SidemanError

ON, OFF = bytes((0x90, 60, 100)), bytes((0x80, 60, 64))


class Port:
    """A way in, in memory, which can be pulled out."""

    def __init__(self, name, deliver, poll_ns=0):
        self.name, self.deliver, self.poll_ns = name, deliver, poll_ns
        self.here = True
        self.kept = []
        self.wires = None

    def poll(self):
        while self.kept:
            self.deliver(*self.kept.pop(0))

    def present(self):
        return self.here

    def reopen(self):
        return self.here

    def connections(self):
        return self.wires

    def close(self):
        self.here = False


class Machine:
    """A machine with one system of MIDI ports, some of which exist."""

    def __init__(self, monkeypatch, *existing, virtual=True, poll_ns=0):
        self.existing = list(existing)
        self.opened = []

        def hear(name, existing_name, rack, deliver):
            self.opened.append(Port(existing_name or f"{rack.client_name}:{name}", deliver, poll_ns))
            return self.opened[-1]

        system = System(
            name="ALSA",
            virtual=virtual,
            destinations=lambda: (),
            make=lambda player, rack: None,
            connect=lambda name, player, rack: None,
            origins=lambda rack: tuple(self.existing),
            hear=hear,
        )
        monkeypatch.setattr(input_module, "systems", lambda: ([system], []))

    def inputs(self, *setups):
        made = Inputs(setups, Rack("sideman"))
        self.said = made.open()
        return made


def readable(inputs):
    return bool(select.select([inputs.fileno()], [], [], 0)[0])


def numbered(number):
    return RawMidi("keys", (0xB0, 1, number % 128), number)


# Mailbox


def test_a_mailbox_hands_out_in_order_and_no_more_than_asked():
    box = Mailbox()
    assert not box
    for number in range(5):
        box.put(numbered(number))
    assert box
    assert box.take(2) == [numbered(0), numbered(1)]
    assert box.take() == [numbered(2), numbered(3), numbered(4)]
    assert not box
    assert box.lost == 0


def test_a_full_mailbox_loses_the_oldest_but_no_end_of_a_note():
    box = Mailbox()
    ends = [(0x80, 60, 64), (0x90, 61, 0), (0xB0, 64, 0), (0xB0, 123, 0), (0x81, 60, 0)]
    for data in [(0x90, 60, 1), *ends, (0xB0, 64, 127)]:
        box.put(RawMidi("keys", data, 0))
    for number in range(WAITING_MAX):
        box.put(numbered(number))
    taken = [message.data for message in box.take(WAITING_MAX)]
    assert taken[: len(ends)] == ends
    assert taken[len(ends) :] == [numbered(number).data for number in range(WAITING_MAX)]
    assert box.lost == 2


def test_an_end_keeps_its_place_among_what_is_left():
    box = Mailbox()
    box.put(RawMidi("keys", (0x80, 60, 0), 0))
    box.put(RawMidi("keys", (0x90, 60, 1), 0))
    for number in range(WAITING_MAX - 1):
        box.put(numbered(number))
    assert [message.data for message in box.take()[:2]] == [(0x80, 60, 0), (0x90, 60, 1)]


def test_a_flood_from_another_thread_is_bounded_and_every_note_ends():
    box, taken = Mailbox(), []

    def flood():
        for number in range(30_000):
            pitch = number // 2 % 128
            box.put(RawMidi("keys", (0x80 if number % 2 else 0x90, pitch, 100), number))

    thread = threading.Thread(target=flood)
    thread.start()
    while thread.is_alive() or box:
        taken += box.take(7)
    thread.join()
    assert len(taken) + box.lost == 30_000
    sounding = set()
    for message in taken:
        kind, pitch, _ = message.data
        (sounding.add if kind == 0x90 else sounding.discard)(pitch)
    assert sounding == set()


# Inputs


def test_a_virtual_input_is_called_like_itself_and_what_comes_wakes(monkeypatch):
    machine = Machine(monkeypatch, "Keyboard")
    inputs = machine.inputs(InputSetup("keys"))
    assert machine.said == (["MIDI input keys (sideman:keys)"], [])
    assert not readable(inputs)
    machine.opened[0].deliver(ON, 5)
    assert readable(inputs)
    assert inputs.poll(10) == [RawMidi("keys", (0x90, 60, 100), 5)]
    assert not readable(inputs)
    assert inputs.poll(11) == []
    inputs.close()
    inputs.close()


def test_an_existing_port_is_found_by_part_of_its_name_and_an_exact_name_goes_first(monkeypatch):
    machine = Machine(monkeypatch, "nanoKEY Studio 20:0", "nano")
    machine.inputs(InputSetup("a", "KEY studio"), InputSetup("b", "NANO")).close()
    assert [port.name for port in machine.opened] == ["nanoKEY Studio 20:0", "nano"]


def test_only_the_channel_of_the_input_and_only_channel_messages(monkeypatch):
    machine = Machine(monkeypatch)
    inputs = machine.inputs(InputSetup("keys", channel=2))
    deliver = machine.opened[0].deliver
    for data in (
        ON,
        b"\x91\x3c\x64",
        b"\xc1\x05",
        b"\xf8",
        b"\xfe",
        b"\xf0\x01\xf7",
        b"",
        b"\x91\x3c",
        b"\x91",
        b"\x40",
    ):
        deliver(data, 1)
    assert [message.data for message in inputs.poll(2)] == [(0x91, 60, 100), (0xC1, 5, 0), (0x91, 60, 0)][:2]
    inputs.close()


def test_two_inputs_come_in_one_list_by_time(monkeypatch):
    machine = Machine(monkeypatch)
    inputs = machine.inputs(InputSetup("a"), InputSetup("b"))
    machine.opened[0].deliver(ON, 7)
    machine.opened[1].deliver(ON, 3)
    machine.opened[0].deliver(OFF, 9)
    assert [(message.input, message.at_ns) for message in inputs.poll(10)] == [("b", 3), ("a", 7), ("a", 9)]
    inputs.close()


def test_clock_is_kept_for_who_asked_and_not_told_as_played(monkeypatch):
    machine = Machine(monkeypatch, "Machine")
    inputs = machine.inputs(InputSetup("keys"))
    clock = inputs.named("mach")
    clock.open()
    machine.opened[1].deliver(b"\xf8", 1)
    clock.hear_clock(True)
    for data in (b"\xfa", b"\xf8", b"\xf2\x01\x02", b"\xf2\x01", ON):
        machine.opened[1].deliver(data, 2)
    assert readable(inputs)
    assert inputs.poll(3) == [], "a port that only the clock is heard on is no input of the set"
    assert [message.data for message in clock.take_clock()] == [(0xFA,), (0xF8,), (0xF2, 1, 2)]
    assert inputs.named("mach") is clock
    assert inputs.named("keys").open() == machine.said[0][0], "an input of the set can bring the clock too"
    inputs.close()


def test_a_flood_is_bounded_counted_said_once_and_wakes_only_now_and_then(monkeypatch):
    machine = Machine(monkeypatch)
    inputs = machine.inputs(InputSetup("keys"))
    deliver = machine.opened[0].deliver
    now_ns, got, wakes = 1_000_000_000, [], 0
    for number in range(10_000):  # in one second
        now_ns += 100_000
        deliver(bytes((0xB0, number % 120, 5)), now_ns)
        next_ns = inputs.next_ns()
        if readable(inputs) or (next_ns is not None and now_ns >= next_ns):
            wakes += 1
            got += inputs.poll(now_ns)
    assert inputs.lost > 0
    said = inputs.look(now_ns)
    assert said == [Trouble("MIDI input keys is flooded: its oldest messages are dropped, but no note-off")]
    assert inputs.look(now_ns + 1) == []
    while inputs.next_ns() is not None:
        now_ns = inputs.next_ns()
        got += inputs.poll(now_ns)
    assert len(got) + inputs.lost == 10_000
    print(f"{len(got)} of 10,000 handed on, {inputs.lost} dropped, {wakes} wakes")
    assert wakes < 500
    inputs.look(now_ns)
    inputs.look(now_ns + FLOOD_OVER_NS + 1)
    deliver(ON, now_ns)
    assert readable(inputs)
    assert inputs.poll(now_ns + 2 * FLOOD_OVER_NS)[0].data == (0x90, 60, 100)
    inputs.close()


def test_a_flood_of_clock_is_bounded_before_it_wakes_anyone(monkeypatch):
    machine = Machine(monkeypatch)
    inputs = machine.inputs(InputSetup("keys"))
    keys = inputs.named("keys")
    keys.hear_clock(True)
    for number in range(10_000):
        machine.opened[0].deliver(b"\xf8", 1_000_000_000 + number * 100_000)
        if number == 5_000:
            machine.opened[0].deliver(ON, 1_500_000_000)
    came = len(keys.take_clock())
    assert 1_000 < came <= WAITING_MAX
    assert [message.data for message in inputs.poll(1)] == [(0x90, 60, 100)], "notes do not suffer from it"
    assert inputs.lost >= 8_000
    keys.hear_clock(False)
    machine.opened[0].deliver(b"\xf8", 3_000_000_000)
    assert keys.take_clock() == []
    inputs.close()


def test_a_port_that_goes_ends_what_was_held_there_and_comes_back_by_its_name(monkeypatch):
    machine = Machine(monkeypatch, "Keyboard")
    inputs = machine.inputs(InputSetup("keys", "keyb"))
    port = machine.opened[0]
    for data in (ON, b"\x95\x20\x40", b"\x95\x21\x40", b"\x85\x20\x00"):
        port.deliver(data, 1)
    assert len(inputs.poll(2)) == 4
    port.here = False
    assert inputs.look(3) == [PortChanged("Keyboard", False, "MIDI input keys (Keyboard) is gone; waiting for it")]
    assert inputs.poll(4) == [RawMidi("keys", (0x80, 60, 64), 4), RawMidi("keys", (0x85, 33, 64), 4)]
    assert inputs.poll(5) == []
    assert inputs.look(6) == []
    port.here = True
    assert inputs.look(7) == []
    assert inputs.look(3 + RETRY_NS) == [PortChanged("Keyboard", True, "MIDI input keys (Keyboard) is back")]
    port.deliver(ON, 8)
    assert len(inputs.poll(9)) == 1
    inputs.close()


def test_a_port_that_is_not_there_yet_is_waited_for(monkeypatch):
    machine = Machine(monkeypatch, "Other")
    inputs = machine.inputs(InputSetup("keys", "keyb"))
    assert machine.said == (["MIDI input keys: waiting for a port that matches 'keyb'; there are: Other"], [])
    assert inputs.look(0) == []
    machine.existing.append("Keyboard")
    assert inputs.look(1) == []
    assert inputs.look(RETRY_NS) == [PortChanged("Keyboard", True, "MIDI input keys (Keyboard) is here")]
    machine.opened[0].deliver(ON, 1)
    assert len(inputs.poll(9)) == 1
    inputs.close()


def test_connections_of_our_own_port_are_told_for_a_restart(monkeypatch):
    machine = Machine(monkeypatch)
    inputs = machine.inputs(InputSetup("keys"))
    machine.opened[0].wires = ("Keyboard:out",)
    assert inputs.look(0) == [Connections({"sideman:keys": ("Keyboard:out",)})]
    assert inputs.look(1) == []
    inputs.close()


def test_a_system_that_keeps_what_came_is_asked_for_it(monkeypatch):
    machine = Machine(monkeypatch, poll_ns=5_000_000)
    inputs = machine.inputs(InputSetup("keys"))
    machine.opened[0].kept = [(ON, 1), (OFF, 2)]
    assert [message.at_ns for message in inputs.poll(100)] == [1, 2]
    assert inputs.next_ns() == 100 + 5_000_000
    inputs.close()


def test_without_virtual_ports_one_that_is_called_like_the_input_is_waited_for(monkeypatch):
    machine = Machine(monkeypatch, "Microsoft", virtual=False)
    inputs = machine.inputs(InputSetup("keys"))
    assert "waiting for a port that matches 'keys'" in machine.said[0][0]
    machine.existing.append("loopMIDI keys")
    assert inputs.look(0)[0].present
    inputs.close()


def test_without_any_midi_the_reasons_are_said(monkeypatch):
    monkeypatch.setattr(input_module, "systems", lambda: ([], ["no ALSA sequencer", "no JACK server runs"]))
    inputs = Inputs([InputSetup("keys")], Rack("sideman"))
    assert inputs.open() == ([], ["input keys: no MIDI here: no ALSA sequencer; no JACK server runs"])
    with pytest.raises(SidemanError, match="input clock: no MIDI here"):
        inputs.named("clock").open()
    assert inputs.look(10) == []
    inputs.close()


# Stamps


def test_a_stamp_outlives_a_late_thread_and_a_drifting_clock():
    stamper = Stamper()
    for number in range(1000):
        true_ns = number * 10_000_000
        stamp_ns = true_ns * (1 + 100e-6) + 5e12
        late_ns = 200_000 + (8_000_000 if number % 7 == 3 else 0)
        at_ns = stamper.at_ns(stamp_ns, true_ns + late_ns)
        assert at_ns == pytest.approx(true_ns + 200_000, abs=700_000)
        assert at_ns <= true_ns + late_ns
