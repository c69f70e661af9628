"""What a MIDI clock's messages come to: starts, stops, positions, silences, a start that never came."""

import random

import pytest

from bridge.messages.hearing import InputSetup
from bridge.messages.message import Trouble
from bridge.messages.sync import SourcePlays, SourceStops
from bridge.stage.inputs.input import Input
from bridge.stage.rack import Rack
from bridge.timing.sync.midi_clock import MidiClockSource
from bridge.timing.sync.source import Reference

POLL_NS = 5_000_000
CLOCK, START, CONTINUE, STOP = b"\xf8", b"\xfa", b"\xfb", b"\xfc"


class Wire(Input):
    """An input whose port is this test."""

    present = True

    def open(self):
        return "a wire"


class Machine:
    """A drum machine that sends clock, on a clock of its own: every call lets time pass."""

    def __init__(self, bpm=97.3, jitter_ms=0.0, now_ns=10_000_000_000):
        self.wire = Wire(InputSetup("clock"), Rack("sidemantest"), lambda: None)
        self.source = MidiClockSource(self.wire)
        self.source.open()
        self.rng = random.Random(1)
        self.jitter_ns = jitter_ms * 1e6
        self.period_ns = 60e9 / 24 / bpm
        self.now_ns = float(now_ns)
        self.events = []
        self.poll()

    def poll(self):
        self.events += self.source.poll(round(self.now_ns))

    def send(self, data):
        self.wire.deliver(data, round(self.now_ns + self.rng.gauss(0, self.jitter_ns)))
        self.poll()

    def wait(self, ns):
        until_ns = self.now_ns + ns
        while self.now_ns + POLL_NS < until_ns:
            self.now_ns += POLL_NS
            self.poll()
        self.now_ns = until_ns

    def pulses(self, number):
        """So many pulses, the first at once; returns when that was. Time stands where the next would come."""
        began_ns = self.now_ns
        for _ in range(number):
            self.send(CLOCK)
            self.wait(self.period_ns)
        return began_ns

    def position(self, sixteenth):
        self.send(bytes((0xF2, sixteenth & 127, sixteenth >> 7)))

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def lines(self):
        return [event.text for event in self.told(Trouble)]

    def song_tick(self):
        """Where the source is by its last reference, at the pulse that was sent last."""
        reference = self.told(Reference)[-1]
        pulse_ns = self.now_ns - self.period_ns
        return reference.tick + (pulse_ns - reference.at_ns) / self.period_ns * 40


def test_a_start_is_told_with_its_first_pulse_and_the_tempo_from_the_third():
    machine = Machine()
    machine.send(START)
    began_ns = machine.pulses(2)
    assert machine.events == [SourcePlays(0, round(began_ns))]
    machine.pulses(1)
    assert machine.told(Reference)[-1].tempo_mbpm == 97_300
    assert not machine.source.state().locked
    machine.pulses(9)
    assert machine.source.state().locked
    assert machine.song_tick() == pytest.approx(11 * 40, abs=0.01)


def test_uneven_first_pulses_are_not_taken_for_a_tempo():
    machine = Machine()
    machine.send(START)
    machine.send(CLOCK)
    machine.now_ns += 3e6
    machine.send(CLOCK)
    machine.now_ns += machine.period_ns - 3e6
    machine.pulses(3)
    assert machine.told(Reference) == []
    machine.pulses(40)
    assert machine.told(Reference)[-1].tempo_mbpm == pytest.approx(97_300, abs=500)


def test_a_start_among_running_pulses_is_told_before_its_first():
    machine = Machine(jitter_ms=1.0)
    machine.pulses(200)
    assert machine.told(SourcePlays) == []
    machine.now_ns -= machine.period_ns / 2
    machine.send(START)
    played = machine.told(SourcePlays)
    assert len(played) == 1, "told before the pulse"
    machine.now_ns += machine.period_ns / 2
    began_ns = machine.pulses(30)
    assert machine.told(SourcePlays) == played
    assert played[0].at_ns == pytest.approx(began_ns, abs=0.5e6)
    assert machine.song_tick() == pytest.approx(29 * 40, abs=1.5)


def test_stop_and_continue_go_on_where_it_stopped():
    machine = Machine()
    machine.send(START)
    machine.pulses(2 * 96 + 10)
    machine.send(STOP)
    assert len(machine.told(SourceStops)) == 1
    machine.wait(3.21e9)
    assert machine.lines() == [], "a source that was stopped may be silent"
    assert not machine.source.state().locked
    machine.send(CONTINUE)
    began_ns = machine.pulses(20)
    assert machine.told(SourcePlays)[1:] == [SourcePlays((2 * 96 + 10) * 40, pytest.approx(began_ns, abs=2))]
    assert machine.source.state().locked, "the tempo is still known"
    assert machine.song_tick() == pytest.approx((2 * 96 + 10 + 19) * 40, abs=0.01)


def test_stop_with_pulses_running_on():
    machine = Machine()
    machine.send(START)
    machine.pulses(96)
    machine.send(STOP)
    machine.pulses(1000)
    assert machine.source.state().locked
    machine.send(CONTINUE)
    machine.pulses(24)
    assert machine.told(SourcePlays)[-1].position_tick == 96 * 40
    assert machine.song_tick() == pytest.approx((96 + 23) * 40, abs=0.01)


def test_song_position_is_where_it_continues():
    machine = Machine()
    machine.send(START)
    machine.pulses(500)
    machine.send(STOP)
    machine.position(8 * 16 + 300)
    machine.wait(2e9)
    machine.send(CONTINUE)
    machine.pulses(2)
    assert machine.told(SourcePlays)[-1].position_tick == (8 * 16 + 300) * 240


def test_song_position_while_it_plays_is_a_jump():
    machine = Machine()
    machine.send(START)
    machine.pulses(100)
    machine.position(64)
    machine.pulses(10)
    assert [played.position_tick for played in machine.told(SourcePlays)] == [0, 64 * 240]
    assert machine.song_tick() == pytest.approx(64 * 240 + 9 * 40, abs=0.01)


def test_silence_is_told_once_and_the_song_is_where_the_time_says_when_it_is_back():
    machine = Machine()
    machine.send(START)
    machine.pulses(300)
    machine.wait(200 * machine.period_ns)
    assert machine.lines() == ["the MIDI clock of clock is gone; holding 97.3 bpm"]
    state = machine.source.state()
    assert (state.locked, state.holdover, state.tempo_mbpm) == (False, True, 97_300)
    machine.pulses(20)
    assert machine.lines()[1:] == ["the MIDI clock of clock is back"]
    assert len(machine.told(SourcePlays)) == 1, "it never stopped"
    assert machine.song_tick() == pytest.approx((300 + 200 + 19) * 40, abs=0.01)
    assert machine.source.state().locked


def test_a_restart_after_a_silence_begins_at_the_top():
    machine = Machine()
    machine.send(START)
    machine.pulses(300)
    machine.wait(1.2345e9)
    machine.send(START)
    machine.pulses(20)
    assert [played.position_tick for played in machine.told(SourcePlays)] == [0, 0]
    assert machine.song_tick() == pytest.approx(19 * 40, abs=0.01)


def test_a_clock_that_begins_out_of_silence_and_has_no_start_plays_after_two_bars():
    machine = Machine()
    machine.wait(3e9)
    machine.pulses(192)
    assert machine.told(SourcePlays) == []
    machine.pulses(2)
    assert [played.position_tick for played in machine.told(SourcePlays)] == [192 * 40]
    assert machine.lines() == ["the MIDI clock of clock sends no start: its first pulse is taken for the first beat"]
    assert machine.song_tick() == pytest.approx(193 * 40, abs=0.01)


def test_a_clock_that_begins_out_of_silence_with_a_start_is_believed():
    machine = Machine()
    machine.wait(3e9)
    machine.send(START)
    machine.pulses(400)
    assert [played.position_tick for played in machine.told(SourcePlays)] == [0]
    assert machine.lines() == []


def test_a_clock_that_was_there_before_us_is_followed_and_starts_nothing():
    machine = Machine()
    machine.pulses(1000)
    assert machine.told(SourcePlays) == []
    assert machine.source.state().locked


def test_lost_and_doubled_pulses_do_not_move_the_song():
    machine = Machine(jitter_ms=1.0)
    machine.send(START)
    machine.pulses(100)
    for number in range(2000):
        if number % 97 != 5:
            machine.send(CLOCK)
        if number % 89 == 7:
            machine.now_ns += 1e6
            machine.send(CLOCK)
            machine.now_ns -= 1e6
        machine.wait(machine.period_ns)
    assert machine.song_tick() == pytest.approx(2099 * 40, abs=1.5)
    assert len(machine.told(SourcePlays)) == 1


@pytest.mark.parametrize("bpm", [5, 2000])
def test_a_clock_that_cannot_be_followed_is_reported_as_it_is(bpm):
    machine = Machine(bpm)
    machine.send(START)
    machine.pulses(60)
    assert machine.told(Reference)[-1].tempo_mbpm == pytest.approx(bpm * 1000, rel=0.01)
    assert machine.lines() == []


def test_the_tempo_is_not_ours_to_set():
    assert Machine().source.set_tempo(120_000, 0) is False
