"""The scheduler reads as a score: (song tick, pitch, velocity), a velocity of 0 being the end of a note."""

import gc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.messages.stage import BarStarted, Chunk, EpochStarted, Mute, Panic, Play, Refused, Stop, Stopped, Tempo
from bridge.stage.outbox import Line
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock, play_until
from engines.errors import SidemanError
from engines.music import Note

BAR = 3840
MS = 1_000_000
KICK, SNARE, HAT = 36, 38, 42
START_TICK = 116
"""Where an epoch begins that is started at 0 with 60 ms of delay, at 120 bpm."""


class Session:
    """One player, drums, and what came of it."""

    def __init__(self, tempo_mbpm=120_000, leads_ns=(0,), players=("drums",)):
        self.clock = FakeClock()
        self.scheduler = Scheduler(
            [Player(name, 10, tuple(Line(lead_ns) for lead_ns in leads_ns)) for name in players], tempo_mbpm, 0
        )
        self.replies = []
        self.events = []

    def say(self, *messages):
        for message in messages:
            self.replies += self.scheduler.apply(message, self.clock.now_ns())

    def run_until(self, at_ns):
        self.events += play_until(self.scheduler, self.clock, at_ns, self.replies.append)

    def run_to_tick(self, song_tick):
        """Until the tick has left and the next has not."""
        started = next(reply for reply in reversed(self.replies) if isinstance(reply, EpochStarted))
        self.run_until(self.scheduler.timeline.ns_at(song_tick - started.position_tick + started.tick))

    @property
    def score(self):
        return [(event.song_tick, event.pitch, event.velocity) for event in self.events]

    def told(self, kind):
        return [reply for reply in self.replies if isinstance(reply, kind)]


def bar(number, *notes, epoch=1, id=1, outcome="hit", from_tick=-1, player="drums"):
    """A bar of 4/4 from (tick, pitch) or (tick, pitch, length)."""
    made = tuple(Note(note[0], note[1], 100, note[2] if len(note) > 2 else 60) for note in notes)
    return Chunk(player, epoch, number, id, number * BAR, BAR, outcome, made, from_tick)


def test_a_bar_plays_as_written():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK), (0, HAT), (960, SNARE), (1920, KICK)))
    session.run_to_tick(BAR)
    assert session.score == [
        (0, KICK, 100),
        (0, HAT, 100),
        (60, KICK, 0),
        (60, HAT, 0),
        (960, SNARE, 100),
        (1020, SNARE, 0),
        (1920, KICK, 100),
        (1980, KICK, 0),
    ]
    assert session.told(EpochStarted) == [EpochStarted(1, START_TICK, 0)]
    assert session.told(BarStarted) == [BarStarted("drums", 1, 0, 1, "hit", pytest.approx(0.0604, abs=0.0003))]
    timeline = session.scheduler.timeline
    assert all(event.at_ns == timeline.ns_at(event.song_tick + START_TICK) for event in session.events)
    assert session.scheduler.sounding == 0


def test_a_tempo_turned_in_mid_bar_loses_and_doubles_nothing():
    session = Session()
    steps = [(i * 240, HAT) for i in range(16)]
    session.say(Play(1, 0), bar(0, *steps), bar(1, *steps, id=2))
    for i, tempo_mbpm in enumerate((90_000, 160_000, 20_000, 999_000, 61_803) * 6):
        session.run_to_tick(i * 250)
        session.say(Tempo(tempo_mbpm))
    session.run_to_tick(2 * BAR)
    ons = [event for event in session.events if event.velocity]
    assert [event.song_tick for event in ons] == [i * 240 for i in range(32)]
    assert all(event.at_ns == session.scheduler.timeline.ns_at(event.tick) for event in ons)
    assert len([event for event in session.events if not event.velocity]) == 32


def test_a_tempo_that_cannot_be_played_changes_nothing():
    session = Session()
    with pytest.raises(SidemanError):
        session.say(Tempo(5))
    assert len(session.scheduler.timeline.pieces) == 1


def test_outputs_get_their_events_ahead_by_their_leads_and_the_report_comes_at_the_moment():
    session = Session(leads_ns=(0, 10 * MS, 80 * MS))
    session.say(Play(1, 0), bar(0, (0, KICK)))
    at_ns = session.scheduler.timeline.ns_at(session.told(EpochStarted)[0].tick)
    handed = {}
    while (next_ns := session.scheduler.next_ns()) is not None:
        session.clock.advance_to(next_ns)
        for departure in session.scheduler.due(next_ns)[0]:
            if departure.event.velocity:
                handed[departure.output] = at_ns - session.clock.now_ns()
    assert handed == {2: 80 * MS, 1: 10 * MS, 0: 0, -1: 0}


def test_a_change_lands_behind_the_look_ahead():
    session = Session(leads_ns=(80 * MS,))
    session.say(Play(1, 0), bar(0, (0, KICK)), Tempo(240_000))
    piece = session.scheduler.timeline.pieces[-1]
    assert piece.at_ns > 80 * MS
    assert session.told(EpochStarted)[0].tick == 269  # 80 ms frozen and 60 ms of delay, at 120 bpm


def test_stop_ends_every_note_and_drops_what_was_to_come():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK, 3000), (480, HAT, 3000), (1920, SNARE)))
    session.run_to_tick(960)
    session.say(Stop())
    session.run_to_tick(2 * BAR)
    assert session.score == [(0, KICK, 100), (480, HAT, 100), (961, KICK, 0), (961, HAT, 0)]
    assert session.told(Stopped) == [Stopped(1, 961)]
    session.say(Stop())
    assert len(session.told(Stopped)) == 1


def test_stop_before_the_first_tick():
    session = Session()
    session.say(Play(1, 960), Stop())
    assert session.told(Stopped) == [Stopped(1, 960)]


def test_continue_is_playing_from_where_it_stopped():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK), (1920, SNARE)))
    session.run_to_tick(960)
    session.say(Stop(), Play(2, 961), bar(0, (0, KICK), (1920, SNARE), epoch=2, from_tick=961))
    session.run_to_tick(BAR)
    assert [event[:2] for event in session.score if event[2]] == [(0, KICK), (1920, SNARE)]


def test_a_jump_plays_on_until_it_lands_and_takes_no_note_with_it():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK, 5000), (960, SNARE), (1000, HAT), (1100, KICK)))
    session.run_to_tick(950)
    session.say(Play(2, 8 * BAR), bar(8, (0, SNARE), epoch=2, id=2))
    session.run_to_tick(9 * BAR)
    landed = session.told(EpochStarted)[1].tick
    assert landed == START_TICK + 951 + 115
    assert session.score == [
        (0, KICK, 100),
        (960, SNARE, 100),
        (1000, HAT, 100),
        (1020, SNARE, 0),
        (1060, HAT, 0),
        (1066, KICK, 0),
        (8 * BAR, SNARE, 100),
        (8 * BAR + 60, SNARE, 0),
    ]


def test_a_chunk_replaces_what_is_still_to_come():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK)), bar(1, (0, KICK), (960, KICK), outcome="repeat", id=2))
    session.run_to_tick(1000)
    session.say(bar(1, (0, SNARE), (1920, HAT), id=3))
    session.run_to_tick(2 * BAR)
    assert [event[:2] for event in session.score if event[2]] == [(0, KICK), (BAR, SNARE), (BAR + 1920, HAT)]
    assert [(told.bar, told.id, told.outcome) for told in session.told(BarStarted)] == [(0, 1, "hit"), (1, 3, "hit")]


def test_the_fallback_plays_where_nothing_better_came():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK)), bar(1, (0, KICK), outcome="repeat", id=2))
    session.run_to_tick(BAR + 10)
    session.say(bar(1, (0, SNARE), (1920, HAT), id=3))
    session.run_to_tick(2 * BAR)
    assert session.told(Refused) == [Refused("drums", 1, 1, 3, "the bar has begun")]
    assert [told.outcome for told in session.told(BarStarted)] == ["hit", "repeat"]
    assert [event[:2] for event in session.score if event[2]] == [(0, KICK), (BAR, KICK)]


def test_a_late_chunk_after_nothing_plays_what_is_left_of_it():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK)))
    session.run_to_tick(BAR + 1000)
    session.say(bar(1, (0, KICK), (960, SNARE), (1920, HAT), id=2))
    session.run_to_tick(2 * BAR)
    assert [event[:2] for event in session.score if event[2]] == [(0, KICK), (BAR + 1920, HAT)]
    late = session.told(BarStarted)[1]
    assert (late.id, late.dropped) == (2, 2)
    assert late.headroom_s == pytest.approx(-1000 / 1920, abs=1e-6)
    assert session.scheduler.dropped_notes == 2
    session.run_to_tick(2 * BAR + 10)
    session.say(bar(1, (3000, HAT), id=3))
    assert session.told(Refused)[0].reason == "the bar is over"


def test_a_fill_now_takes_over_from_its_tick():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK, 3000), (960, SNARE), (1920, KICK), (2880, SNARE)))
    session.run_to_tick(1000)
    session.say(bar(0, (0, HAT), (1920, HAT), (1920, 50), (2880, 47), id=2, from_tick=1920))
    session.run_to_tick(BAR)
    assert session.score == [
        (0, KICK, 100),
        (960, SNARE, 100),
        (1020, SNARE, 0),
        (1920, HAT, 100),
        (1920, 50, 100),
        (1980, HAT, 0),
        (1980, 50, 0),
        (2880, 47, 100),
        (2940, 47, 0),
        (3000, KICK, 0),
    ]
    assert [told.id for told in session.told(BarStarted)] == [1, 2]
    assert session.told(BarStarted)[1].headroom_s == pytest.approx(920 / 1920, abs=0.001)


def test_what_lies_before_a_fill_and_is_still_to_come_stays():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK), (960, SNARE), (1920, KICK)))
    session.run_to_tick(10)
    session.say(bar(0, (1920, HAT), id=2, from_tick=1920))
    session.run_to_tick(BAR)
    assert [event[:2] for event in session.score if event[2]] == [(0, KICK), (960, SNARE), (1920, HAT)]


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        (bar(0, (0, KICK), epoch=1), "epoch 1 is not the one that plays, 2"),
        (bar(0, (0, KICK), epoch=3), "epoch 3 is not the one that plays, 2"),
        (bar(0, (0, KICK), epoch=2, player="bass"), "there is no player 'bass'"),
    ],
)
def test_chunks_of_another_epoch_or_player_are_refused(chunk, reason):
    session = Session()
    session.say(Play(1, 0), Play(2, 0), chunk)
    assert [refused.reason for refused in session.told(Refused)] == [reason]
    session.run_to_tick(BAR)
    assert session.score == []


def test_a_chunk_without_playing_is_refused():
    session = Session()
    session.say(bar(0, (0, KICK)))
    assert [refused.reason for refused in session.told(Refused)] == ["nothing is playing"]


def test_striking_again_ends_the_note_first():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK, 2000), (960, KICK, 500), (960, KICK, 700), (960 + 500, KICK)))
    session.run_to_tick(BAR)
    assert session.score == [
        (0, KICK, 100),
        (960, KICK, 0),
        (960, KICK, 100),
        (1460, KICK, 0),
        (1460, KICK, 100),
        (1520, KICK, 0),
    ]


def test_an_early_downbeat_plays_before_its_bar_and_in_the_first_bar_on_it():
    session = Session()
    session.say(Play(1, 0), bar(0, (-50, KICK)), bar(1, (-50, KICK), id=2))
    session.run_to_tick(BAR + 100)
    assert [event for event in session.score if event[2]] == [(0, KICK, 100), (BAR - 50, KICK, 100)]
    assert session.scheduler.dropped_notes == 0


def test_mute_is_at_once_and_unmute_too():
    session = Session(players=("drums", "bass"))
    session.say(Play(1, 0), bar(0, (0, KICK, 3000), (960, SNARE), (2880, SNARE)))
    session.say(bar(0, (0, 40, 3000), (960, 41), player="bass"))
    session.run_to_tick(100)
    session.say(Mute("drums", True))
    session.run_to_tick(1900)
    session.say(Mute("drums", False))
    session.run_to_tick(BAR)
    drums = [event for event in session.score if event[1] in (KICK, SNARE)]
    assert drums == [(0, KICK, 100), (101, KICK, 0), (2880, SNARE, 100), (2940, SNARE, 0)]
    assert (3000, 40, 0) in session.score
    assert len(session.told(BarStarted)) == 2


def test_panic_ends_notes_and_playing_goes_on():
    session = Session()
    session.say(Play(1, 0), bar(0, (0, KICK, 3000), (960, SNARE)))
    session.run_to_tick(100)
    session.say(Panic())
    session.run_to_tick(BAR)
    assert session.score == [(0, KICK, 100), (101, KICK, 0), (960, SNARE, 100), (1020, SNARE, 0)]


def test_leaving_ends_what_each_output_was_given():
    session = Session(leads_ns=(0, 80 * MS))
    session.say(Play(1, 0), bar(0, (0, KICK, 3000), (120, SNARE, 3000)))
    session.run_to_tick(60)
    ends = [(d.output, d.event.pitch, d.event.velocity) for d in session.scheduler.finish(session.clock.now_ns())]
    assert sorted(ends) == [(-1, KICK, 0), (0, KICK, 0), (1, KICK, 0), (1, SNARE, 0)]
    assert session.scheduler.next_ns() is None
    assert session.scheduler.finish(session.clock.now_ns()) == []


def test_an_hour_of_loops_keeps_nothing():
    session = Session(tempo_mbpm=999_000)
    session.say(Play(1, 0))
    for number in range(400):
        session.say(bar(number, *[(i * 240, HAT) for i in range(16)], id=number))
        session.run_to_tick(number * BAR)
    assert len(session.scheduler._bars._bars["drums"]) <= 64
    assert len(session.scheduler._queue) < 100


def test_nothing_is_left_to_a_garbage_collector():
    session = Session()
    gc.collect()
    gc.disable()
    try:
        for epoch in range(1, 30):
            session.say(Play(epoch, 0))
            for number in range(3):
                session.say(bar(number, (0, KICK), epoch=epoch), bar(number, (0, SNARE), epoch=epoch, id=2))
            session.run_to_tick(BAR)
            session.say(Stop())
        session.run_until(session.clock.now_ns() + 60_000 * MS)
        assert gc.collect() == 0
    finally:
        gc.enable()


MESSAGES = st.one_of(
    st.builds(Tempo, st.integers(20_000, 999_000)),
    st.builds(Mute, st.just("drums"), st.booleans()),
    st.just(Stop()),
    st.just(Panic()),
    st.builds(Play, st.integers(1, 3), st.integers(0, 3 * BAR), st.integers(0, 80)),
    st.builds(
        lambda number, epoch, notes, from_tick: bar(number, *notes, epoch=epoch, from_tick=from_tick),
        st.integers(0, 4),
        st.integers(1, 3),
        st.lists(st.tuples(st.integers(-120, BAR - 1), st.integers(36, 38), st.integers(1, 4000)), max_size=6),
        st.sampled_from([-1, 960, 6000]),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(MESSAGES, st.integers(0, 400 * MS)), max_size=25), st.sampled_from([0, 10 * MS, 80 * MS]))
def test_whatever_is_said_no_note_hangs_and_time_goes_forward(said, lead_ns):
    session = Session(leads_ns=(lead_ns,))
    for message, wait_ns in said:
        session.say(message)
        session.run_until(session.clock.now_ns() + wait_ns)
    session.run_until(session.clock.now_ns() + 60_000 * MS)
    on = Counter()
    for event in session.events:
        if event.velocity:
            assert on[event.pitch] == 0, "struck while it sounds"
            on[event.pitch] += 1
        else:
            on[event.pitch] -= 1
            assert on[event.pitch] == 0, "ended without having begun"
    assert not +on
    assert session.scheduler.sounding == 0
    assert [event.tick for event in session.events] == sorted(event.tick for event in session.events)
    assert [event.at_ns for event in session.events] == sorted(event.at_ns for event in session.events)
