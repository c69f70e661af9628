"""MIDI clock that leaves: on its ticks, in time with the song."""

from itertools import pairwise

import pytest

from bridge.messages.stage import EpochStarted, Play, Stop, Tempo
from bridge.stage.clock_out import PULSE_TICKS, START_LEAD_TICKS, ClockOut
from bridge.stage.midi.numbers import CLOCK, CONTINUE, SONG_POSITION, START, STOP
from bridge.stage.outbox import Line, Pulse
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock

BAR = 3840
MS = 1_000_000


CLOCKED = Line(clock=True)


class Receiver:
    """A stage whose drums have one output with clock and one without; what the clock's output is handed."""

    def __init__(self, line=CLOCKED):
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player("drums", 10, (Line(), line))], 120_000, 0)
        self.pulses, self.epoch = [], None

    def say(self, *messages):
        for message in messages:
            for reply in self.scheduler.apply(message, self.clock.now_ns()):
                if isinstance(reply, EpochStarted):
                    self.epoch = reply

    def run(self, ms):
        until_ns = self.clock.now_ns() + ms * MS
        while (next_ns := self.scheduler.next_ns()) is not None and next_ns <= until_ns:
            for departure in self.scheduler.due(self.clock.advance_to(next_ns))[0]:
                if isinstance(departure.event, Pulse):
                    assert departure.output == 1
                    self.pulses.append(departure.event)
        self.clock.advance_to(until_ns)

    @property
    def score(self):
        """(song tick, status, data)."""
        offset = self.epoch.position_tick - self.epoch.tick if self.epoch else 0
        tick_at = self.scheduler.timeline.tick_at
        return [(tick_at(pulse.at_ns) + offset, pulse.status, pulse.data) for pulse in self.pulses]


def test_pulses_come_24_a_beat_also_while_nothing_plays():
    receiver = Receiver()
    receiver.run(1000)
    assert [tick for tick, _, _ in receiver.score] == [i * PULSE_TICKS for i in range(49)]
    assert {status for _, status, _ in receiver.score} == {CLOCK}


def test_pulses_begin_when_the_stage_does():
    receiver = Receiver()
    receiver.clock.advance(60 * MS)  # until all was open
    receiver.run(100)
    assert [tick for tick, _, _ in receiver.score] == [120, 160, 200, 240, 280]
    assert receiver.pulses[0].at_ns >= 60 * MS


def test_the_first_pulse_after_a_start_is_the_downbeat():
    receiver = Receiver()
    receiver.run(333)
    receiver.say(Play(1, 0, delay_ms=400))
    receiver.run(1500)
    started = next(i for i, pulse in enumerate(receiver.score) if pulse[1] == START)
    assert receiver.score[started][0] == -START_LEAD_TICKS
    assert receiver.score[started + 1 : started + 4] == [(i * PULSE_TICKS, CLOCK, ()) for i in range(3)]
    ticks = [tick for tick, status, _ in receiver.score if status == CLOCK]
    between = [later - earlier for earlier, later in pairwise(ticks)]
    assert min(between) >= PULSE_TICKS // 2
    assert max(between) <= PULSE_TICKS * 3 // 2
    assert sorted(between)[1:-1] == [PULSE_TICKS] * (len(between) - 2)


def test_a_stop_and_going_on_from_the_middle_of_a_sixteenth():
    receiver = Receiver()
    receiver.say(Play(1, 0))
    receiver.run(2000)
    receiver.say(Stop())
    receiver.run(100)
    assert [status for _, status, _ in receiver.score if status != CLOCK] == [START, STOP]
    receiver.say(Play(2, BAR + 100))
    receiver.run(1000)
    position, again = [entry for entry in receiver.score if entry[1] not in (CLOCK, START, STOP)]
    assert (position[1], again[1]) == (SONG_POSITION, CONTINUE)
    assert position[2] == (17, 0)  # the sixteenth after the bar's first
    after = [entry for entry in receiver.score[receiver.score.index(again) :] if entry[1] == CLOCK]
    assert after[0] == (BAR + 240, CLOCK, ())


def test_a_jump_while_playing_stops_and_goes_on():
    receiver = Receiver()
    receiver.say(Play(1, 0))
    receiver.run(1000)
    receiver.say(Play(2, 128 * 240 * 2))
    receiver.run(500)
    marks = [(status, data) for _, status, data in receiver.score if status != CLOCK]
    assert marks == [(START, ()), (STOP, ()), (SONG_POSITION, (0, 2)), (CONTINUE, ())]


def test_pulses_are_asked_for_ahead_and_follow_the_tempo():
    receiver = Receiver(Line(10 * MS, 5 * MS, clock=True))
    receiver.run(100)
    receiver.say(Tempo(60_000))
    receiver.run(2000)
    timeline = receiver.scheduler.timeline
    expected = [timeline.ns_at(i * PULSE_TICKS) - 5 * MS for i in range(1, len(receiver.pulses) + 1)]
    assert [pulse.at_ns for pulse in receiver.pulses] == expected
    assert receiver.pulses[-1].at_ns - receiver.pulses[-2].at_ns == pytest.approx(1e9 / 24, abs=2)


def test_a_start_told_late_begins_with_the_next_sixteenth():
    clock = ClockOut()
    list(clock.until(1000))
    clock.play(500, 0, 1000)
    told = list(clock.until(1400))
    assert [entry for entry in told if entry[1] != CLOCK] == [(1210, SONG_POSITION, (3, 0)), (1210, CONTINUE, ())]
    pulses = [tick for tick, status, _ in told if status == CLOCK]
    assert 500 + 3 * 240 in pulses


def test_a_stage_that_leaves_stops_those_on_its_clock():
    receiver = Receiver()
    assert receiver.scheduler.finish(receiver.clock.now_ns()) == []
    playing = Receiver()
    playing.say(Play(1, 0))
    playing.run(500)
    left = playing.scheduler.finish(playing.clock.now_ns())
    assert [(departure.event.status, departure.output) for departure in left] == [(STOP, 1)]
    assert playing.scheduler.next_ns() is None


def test_no_clock_where_none_is_asked_for():
    receiver = Receiver(Line())
    assert receiver.scheduler.next_ns() is None
