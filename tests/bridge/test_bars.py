"""How epochs begin at the stage, and where loops lie: led by a source, at a bar of its, after a count-in."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.messages.stage import BarStarted, Chunk, EpochStarted, Piece, Play, Stop, Stopped, Tempo
from bridge.stage.bars import CATCH_UP_NS, LoopStarts
from bridge.stage.outbox import REPORT, Line
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock, play_until
from engines.music import LoopFile, Note

BAR = 3840
MS = 1_000_000
KICK, CLICK = 36, 37
LOOP = LoopFile("/loops/bass_120bpm_1bars.wav", 48_000, 96_000, 2, BAR, 120_000)


class Session:
    """One player, drums, and what came of it; the clock begins at 10 s, so that there is a past."""

    def __init__(self, *lines):
        self.clock = FakeClock(10_000 * MS)
        self.scheduler = Scheduler([Player("drums", 10, lines or (Line(),))], 120_000, 0)
        self.replies, self.events = [], []

    def say(self, *messages):
        for message in messages:
            self.replies += self.scheduler.apply(message, self.clock.now_ns())

    def run(self, ms):
        self.events += play_until(self.scheduler, self.clock, self.clock.now_ns() + ms * MS, self.replies.append)

    def told(self, kind):
        return [reply for reply in self.replies if isinstance(reply, kind)]

    def at_ms(self, song_tick):
        """When a song tick is, in ms from 10 s on."""
        epoch = self.told(EpochStarted)[-1]
        return self.scheduler.timeline.ns_at(song_tick - epoch.position_tick + epoch.tick) / MS - 10_000

    @property
    def ons(self):
        return [(event.song_tick, event.pitch) for event in self.events if event.velocity]


def bar(number, *ticks, epoch=1, id=1, loop=None, start=None, pitch=KICK, from_tick=-1):
    start_tick = number * BAR if start is None else start
    notes = tuple(Note(tick, pitch, 100, 60) for tick in ticks)
    return Chunk("drums", epoch, number, id, start_tick, BAR, "hit", notes, from_tick, loop)


def test_what_a_source_began_a_moment_ago_is_played_at_once():
    session = Session()
    now_ns = session.clock.now_ns()
    session.say(Play(1, 0, at_ns=now_ns - 20 * MS), bar(0, 0, 10, 960))
    session.run(1000)
    assert session.at_ms(0) == pytest.approx(-20, abs=0.6)
    assert [tick for tick, _ in session.ons] == [0, 960]  # the second came with the first: one hit
    assert [event.at_ns / MS - 10_000 for event in session.events[:1]] == [pytest.approx(0, abs=0.6)]
    assert session.scheduler.dropped_notes == 0


def test_what_a_source_began_long_ago_plays_its_rest():
    session = Session()
    late_ms = CATCH_UP_NS // MS + 100
    session.say(Play(1, 0, at_ns=session.clock.now_ns() - late_ms * MS), bar(0, 0, 960, 1920))
    session.run(1500)
    assert session.ons == [(960, KICK), (1920, KICK)]
    assert session.told(BarStarted)[0].dropped == 1
    assert session.at_ms(960) == pytest.approx(500 - late_ms, abs=0.6)


def test_a_start_in_the_future_is_exact():
    session = Session(Line(50 * MS))
    session.say(Play(1, 1920, at_ns=session.clock.now_ns() + 300 * MS), bar(0, 0, 1920))
    session.run(1000)
    assert session.ons == [(1920, KICK)]
    assert session.at_ms(1920) == pytest.approx(300, abs=0.6)


@pytest.mark.parametrize(("offset", "position"), [(0, 0), (100, 0), (-777, 3840), (3839, 960)])
def test_a_start_waits_for_the_sources_bar(offset, position):
    session = Session()
    session.scheduler.source_offset = offset
    session.say(Play(1, position, quantum_ticks=BAR))
    epoch = session.told(EpochStarted)[0]
    assert (epoch.tick + offset - position) % BAR == 0
    assert 60 <= session.at_ms(position) < 60 + 2000 + 1


def test_a_count_in_is_heard_before_the_first_bar():
    session = Session()
    session.say(Play(1, 0, count_in_ticks=BAR))
    session.say(bar(-1, 0, 960, 1920, 2880, id=0, pitch=CLICK), bar(0, -20, 960))
    assert session.at_ms(0) == pytest.approx(2060, abs=1)
    sent = []
    while (next_ns := session.scheduler.next_ns()) is not None:
        sent += session.scheduler.due(session.clock.advance_to(next_ns))[0]
    ons = [(one.event.song_tick, one.event.pitch, one.output) for one in sent if one.event.velocity]
    assert [on[:2] for on in ons if on[2] == 0] == [
        (-3840, CLICK), (-2880, CLICK), (-1920, CLICK), (-960, CLICK), (-20, KICK), (960, KICK)
    ]  # fmt: skip
    assert [on[:2] for on in ons if on[2] == REPORT] == [(-20, KICK), (960, KICK)]  # clicks are no part of a take


def test_a_loop_is_told_when_its_bar_is_sure_and_silence_only_after_one():
    session = Session(Line(40 * MS))
    session.say(Play(1, 0), bar(0, 0), bar(1, id=2, loop=LOOP))
    session.run(1000)
    assert session.told(LoopStarts) == []
    session.say(bar(2, id=3, loop=LOOP), bar(3, 0, id=4), bar(4, 0, id=5))
    start = session.told(EpochStarted)[0].tick
    session.run(session.at_ms(BAR) - 1000 - 41)
    assert session.told(LoopStarts) == []
    session.run(2)
    assert session.told(LoopStarts) == [LoopStarts("drums", LOOP, start + BAR, BAR)]
    session.run(8000)
    assert session.told(LoopStarts)[1:] == [
        LoopStarts("drums", LOOP, start + 2 * BAR, BAR),
        LoopStarts("drums", None, start + 3 * BAR, BAR),
    ]


def test_a_loop_that_came_late_is_told_with_where_it_began():
    session = Session()
    session.say(Play(1, 0))
    session.run(500)
    session.say(bar(0, loop=LOOP))
    assert session.told(LoopStarts) == [LoopStarts("drums", LOOP, session.told(EpochStarted)[0].tick, BAR)]


def test_a_stop_and_a_new_epoch_end_a_loop():
    session = Session()
    session.say(Play(1, 0), bar(0, loop=LOOP))
    session.run(500)
    session.say(Play(2, 0, delay_ms=500))
    tick = session.told(EpochStarted)[-1].tick
    assert session.told(LoopStarts)[-1] == LoopStarts("drums", None, tick, 0)
    session.say(bar(0, epoch=2, loop=LOOP))
    session.run(1000)
    session.say(Stop())
    kinds = [type(reply) for reply in session.replies[-2:]]
    assert kinds == [LoopStarts, Stopped]
    assert session.told(LoopStarts)[-1].loop is None
    session.say(Stop())
    assert session.told(LoopStarts)[-1].loop is None
    assert len(session.told(Stopped)) == 1


def test_each_output_is_asked_earlier_by_its_latency():
    lines = (Line(), Line(latency_ns=30 * MS), Line(10 * MS, 20 * MS), Line(latency_ns=-25 * MS))
    session = Session(*lines)
    session.say(Play(1, 0), bar(0, 0))
    at_ns = session.scheduler.timeline.ns_at(session.told(EpochStarted)[0].tick)
    handed = {}
    while (next_ns := session.scheduler.next_ns()) is not None:
        session.clock.advance_to(next_ns)
        for departure in session.scheduler.due(next_ns)[0]:
            if departure.event.velocity:
                asked_ns, now_ns = departure.event.at_ns, session.clock.now_ns()
                handed[departure.output] = ((at_ns - now_ns) / MS, (at_ns - asked_ns) / MS)
    assert handed == {-1: (0, 0), 0: (0, 0), 1: (30, 30), 2: (30, 20), 3: (-25, -25)}


def test_an_output_that_sounds_early_ends_what_it_was_given():
    session = Session(Line(latency_ns=-25 * MS))
    session.say(Play(1, 0), bar(0, 0))
    session.run(70)  # the beginning is over, and not yet handed over
    assert [end.output for end in session.scheduler.ends(session.clock.now_ns())] == [REPORT]
    session.clock.advance(20 * MS)
    assert [departure.event.velocity for departure in session.scheduler.due(session.clock.now_ns())[0]] == [100]
    ends = session.scheduler.finish(session.clock.now_ns())
    assert (KICK, 0, 0) in [(end.event.pitch, end.event.velocity, end.output) for end in ends]


def test_a_tempo_turned_before_a_start_moves_it():
    session = Session()
    session.say(Play(1, 0, delay_ms=1000), Tempo(240_000))
    assert session.told(Piece)[0].tempo_mbpm == 240_000
    assert session.at_ms(0) == pytest.approx(500, abs=1)


STARTS = st.builds(
    Play,
    epoch=st.just(0),
    position_tick=st.sampled_from([0, 100, 960, BAR]),
    delay_ms=st.sampled_from([0, 60]),
    at_ns=st.none() | st.integers(-300, 800),
    quantum_ticks=st.sampled_from([0, 960, BAR]),
    count_in_ticks=st.sampled_from([0, BAR]),
)
STEPS = st.lists(
    st.tuples(st.integers(0, 1500), STARTS | st.just(Stop()) | st.builds(Tempo, st.integers(60_000, 400_000))),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.sampled_from([(Line(),), (Line(20 * MS, -30 * MS), Line(0, 15 * MS, True))]), st.integers(-500, 5000))
def test_however_epochs_begin_every_note_ends_and_times_go_on(steps, lines, offset):
    session = Session(*lines)
    session.scheduler.source_offset = offset
    epoch, frozen = 0, 0
    for wait_ms, message in steps:
        session.run(wait_ms)
        if isinstance(message, Play):
            epoch += 1
            at_ns = message.at_ns
            now_ns = session.clock.now_ns()
            message = Play(  # noqa: PLW2901 - the step says when from then on
                epoch, message.position_tick, message.delay_ms,
                None if at_ns is None else now_ns + at_ns * MS, message.quantum_ticks, message.count_in_ticks,
            )  # fmt: skip
        session.say(message)
        if isinstance(message, Play):
            first = message.position_tick // BAR
            session.say(bar(-1, 0, 1900, epoch=epoch, start=message.position_tick - BAR, pitch=CLICK))
            for number in (first, first + 1):
                loop = LOOP if number % 2 else None
                session.say(bar(number, -20, 0, 960, 3839, epoch=epoch, id=number, loop=loop))
        assert session.scheduler.timeline.frozen >= frozen
        frozen = session.scheduler.timeline.frozen
    session.run(20_000)
    held = set()
    for event in session.events:
        assert event.at_ns == session.scheduler.timeline.ns_at(event.tick)
        (held.add if event.velocity else held.remove)(event.pitch)
    assert held == set()
    assert session.scheduler.sounding == 0
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(session.events))
    loops = session.told(LoopStarts)
    assert all(starts.loop or before.loop for before, starts in pairwise(loops))  # silence only after a loop
