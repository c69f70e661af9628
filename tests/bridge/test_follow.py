"""The follower: whatever a source does, ticks that are frozen stay, all others come in order, and the two meet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.timing.follow import BEND_MAX, Follower
from bridge.timing.sync.source import Reference
from bridge.timing.timeline import NS_MBPM_PER_TICK, TEMPO_MAX_MBPM, TEMPO_MIN_MBPM, Timeline

MS = 1_000_000
BAR = 3840
TEMPI = st.integers(TEMPO_MIN_MBPM, TEMPO_MAX_MBPM)


class Leader:
    """A source that is where it says, exactly, and can turn its tempo and jump."""

    def __init__(self, tempo_mbpm, tick=0.0, now_ns=0):
        self.tempo_mbpm, self.tick, self.now_ns = tempo_mbpm, tick, now_ns

    def at(self, now_ns):
        self.tick += (now_ns - self.now_ns) * self.tempo_mbpm / NS_MBPM_PER_TICK
        self.now_ns = now_ns
        return Reference(self.tick, now_ns, self.tempo_mbpm)


class Session:
    def __init__(self, ours_mbpm=120_000, theirs_mbpm=120_000, tick=0.0, look_ahead_ns=0, song_offset=0):
        self.timeline = Timeline(0, ours_mbpm)
        self.follower = Follower(self.timeline)
        self.follower.begin(BAR)
        self.leader = Leader(theirs_mbpm, tick)
        self.look_ahead_ns, self.song_offset = look_ahead_ns, song_offset
        self.now_ns, self.pieces = 0, []

    def go(self, ns, every_ns=5 * MS):
        """Follow for some time; the largest error on the way, in ms."""
        worst, until_ns = 0.0, self.now_ns + ns
        while self.now_ns < until_ns:
            self.now_ns += every_ns
            self.timeline.freeze(self.now_ns + self.look_ahead_ns)
            reference = self.leader.at(self.now_ns)
            error_ns = self.follower.error_ns(reference)
            worst = max(worst, abs(error_ns or 0.0) / MS)
            self.pieces += self.follower.reference(reference, self.now_ns, self.song_offset)
        return worst


def bars_apart(session):
    """How far our place in the bar is from the source's, in ticks."""
    ours = session.timeline.tick_at(session.now_ns) + session.song_offset
    return (session.leader.at(session.now_ns).tick - ours + BAR / 2) % BAR - BAR / 2


def test_a_steady_source_costs_two_pieces_and_no_more():
    session = Session(ours_mbpm=120_000, theirs_mbpm=97_300)
    session.go(1_000 * MS)
    assert len(session.pieces) == 2
    assert session.go(60_000 * MS) < 0.02
    assert len(session.pieces) == 2
    assert session.timeline.pieces[-1].tempo_mbpm == 97_300


@pytest.mark.parametrize("tempo_mbpm", [100_000, 132_000, 60_000, 240_000])
def test_a_turn_of_the_tempo_is_followed_within_a_beat(tempo_mbpm):
    session = Session(look_ahead_ns=10 * MS)
    session.go(2_000 * MS)
    session.leader.at(session.now_ns)
    session.leader.tempo_mbpm = tempo_mbpm
    late_ms = 15  # the look-ahead and the way here
    worst_ms = late_ms * abs(tempo_mbpm / 120_000 - 1) + 0.1
    assert session.go(60e12 / tempo_mbpm) < worst_ms * max(1, 120_000 / tempo_mbpm)
    assert session.go(5_000 * MS) < 0.02


def test_the_nearest_bar_is_kept_when_the_source_jumps_while_we_play():
    session = Session(theirs_mbpm=120_000, tick=10_000.0)
    session.go(8_000 * MS)
    assert abs(bars_apart(session)) <= 1.1
    before = session.timeline.tick_at(session.now_ns)
    session.leader.tick += 7_000.3  # 680 before a bar of its own
    session.go(8_000 * MS)
    assert abs(bars_apart(session)) <= 1.1
    ours = session.timeline.tick_at(session.now_ns) - before
    assert ours == pytest.approx(8 * 1920 - 679.7, abs=2)  # bent, by what was missing to the bar


def test_a_source_that_knows_no_bar_is_met_at_its_nearest_pulse():
    session = Session(theirs_mbpm=120_000)
    ours = session.timeline.tick_at(10_000 * MS)
    for _ in range(400):
        session.now_ns += 25 * MS
        session.timeline.freeze(session.now_ns)
        exact = session.leader.at(session.now_ns)
        session.follower.reference(Reference(exact.tick + 1_975.0, exact.at_ns, 120_000, 40), session.now_ns, 0)
    assert session.timeline.tick_at(session.now_ns) - ours == pytest.approx(15, abs=1.1)
    assert session.follower.offset == 1_960


def test_nothing_is_bent_while_nothing_plays():
    session = Session(tick=123.4, song_offset=None)
    session.go(100 * MS)
    session.leader.tick += 100_000.7
    session.go(100 * MS)
    assert {piece.tempo_mbpm for piece in session.pieces} <= set(range(110_000, 130_000))
    assert session.follower.offset == pytest.approx(100_124, abs=2)


def test_a_position_that_the_source_names_is_the_offset():
    session = Session()
    session.go(100 * MS)
    session.follower.fix(960)
    session.leader.tick += 960.0
    assert session.go(1_000 * MS) < 0.02
    assert session.follower.offset == 960


def test_references_that_scatter_within_the_tolerance_change_nothing():
    session = Session()
    session.follower.tolerance_ns = 200_000
    session.go(1_000 * MS)
    settled = len(session.pieces)
    for number in range(400):
        session.now_ns += 20 * MS
        session.timeline.freeze(session.now_ns)
        exact = session.leader.at(session.now_ns)
        scattered = Reference(exact.tick + (-1) ** number * 0.2, exact.at_ns, 120_000 + number % 5)
        session.pieces += session.follower.reference(scattered, session.now_ns, 0)
    assert len(session.pieces) == settled


def test_at_the_edge_of_what_can_be_played_there_is_no_flood_of_pieces():
    session = Session(ours_mbpm=TEMPO_MAX_MBPM, theirs_mbpm=TEMPO_MAX_MBPM)
    session.go(100 * MS)
    session.leader.tick += 300
    session.go(5_000 * MS)
    assert len(session.pieces) <= 4


STEPS = st.lists(
    st.tuples(
        st.integers(1, 2_000),  # after so many ms
        TEMPI,
        st.floats(-20_000, 20_000) | st.just(0.0),  # a jump in ticks
        st.integers(0, 100),  # the look-ahead in ms
        st.sampled_from([None, 0, 1234]),
    ),
    max_size=15,
)


@settings(max_examples=150, deadline=None)
@given(TEMPI, STEPS)
def test_frozen_ticks_keep_their_time_and_all_ticks_come_in_order(first_mbpm, steps):
    timeline = Timeline(0, first_mbpm)
    follower = Follower(timeline)
    leader, now_ns = Leader(first_mbpm), 0
    for wait_ms, tempo_mbpm, jump, look_ahead_ms, song_offset in steps:
        now_ns += wait_ms * MS
        frozen = timeline.freeze(now_ns + look_ahead_ms * MS)
        ticks = range(max(0, frozen - 3_000), frozen, 13)
        before = [timeline.ns_at(tick) for tick in ticks]
        leader.at(now_ns)
        leader.tempo_mbpm, leader.tick = tempo_mbpm, leader.tick + jump
        pieces = follower.reference(leader.at(now_ns), now_ns, song_offset)
        assert [timeline.ns_at(tick) for tick in ticks] == before
        assert timeline.frozen == frozen
        assert all(piece.tick >= frozen and piece.at_ns == timeline.ns_at(piece.tick) for piece in pieces)
        for piece in timeline.pieces[1:]:
            for tick in (piece.tick - 2, piece.tick - 1, piece.tick, piece.tick + 1):
                assert timeline.ns_at(tick) < timeline.ns_at(tick + 1)
        if pieces:
            bend, settled = pieces
            assert settled.tempo_mbpm == tempo_mbpm
            assert TEMPO_MIN_MBPM <= bend.tempo_mbpm <= TEMPO_MAX_MBPM
            assert abs(bend.tempo_mbpm / tempo_mbpm - 1) <= BEND_MAX + 0.001


@settings(max_examples=60, deadline=None)
@given(st.integers(40_000, 300_000), st.integers(40_000, 300_000), st.floats(0, 8_000), st.integers(0, 80))
def test_whatever_it_begins_with_it_meets_the_source_in_a_few_bars(ours_mbpm, theirs_mbpm, tick, look_ahead_ms):
    session = Session(ours_mbpm, theirs_mbpm, tick, look_ahead_ms * MS)
    session.go(round(8 * BAR * NS_MBPM_PER_TICK / theirs_mbpm), every_ns=20 * MS)
    assert session.go(1_000 * MS) < 0.03
    assert abs(bars_apart(session)) <= 1.1
