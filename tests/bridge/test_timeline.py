"""The invariants of docs/ARCHITECTURE.md, Time, held over any sequence of tempo changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.messages.stage import Piece
from bridge.timing.clock import ClockMap
from bridge.timing.timeline import TEMPO_MAX_MBPM, TEMPO_MIN_MBPM, TempoMap, Timeline
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT

TEMPI = st.integers(TEMPO_MIN_MBPM, TEMPO_MAX_MBPM)
STEPS = st.lists(
    st.tuples(st.integers(0, 3_000_000_000), TEMPI, st.integers(0, 100_000_000)), max_size=12
)  # wait, then change to this tempo, with so much look-ahead
START_NS = 987_654_321


def played(steps: list[tuple[int, int, int]], first_mbpm: int) -> Timeline:
    timeline, now_ns = Timeline(START_NS, first_mbpm), START_NS
    for wait_ns, tempo_mbpm, look_ahead_ns in steps:
        now_ns += wait_ns
        timeline.freeze(now_ns + look_ahead_ns)
        timeline.change(tempo_mbpm, now_ns)
    return timeline


@given(STEPS, TEMPI, st.integers(-10_000, 100_000))
def test_every_tick_comes_back_from_its_moment(steps, first_mbpm, tick):
    timeline = played(steps, first_mbpm)
    assert timeline.tick_at(timeline.ns_at(tick)) == tick
    assert timeline.tick_at(timeline.ns_at(tick) - 1) == tick - 1
    assert timeline.ns_at(tick) < timeline.ns_at(tick + 1)


@given(STEPS, TEMPI, TEMPI, st.integers(0, 5_000_000_000), st.integers(0, 100_000_000))
def test_a_frozen_tick_never_changes_its_time(steps, first_mbpm, tempo_mbpm, after_ns, look_ahead_ns):
    timeline = played(steps, first_mbpm)
    now_ns = timeline.ns_at(timeline.frozen) + after_ns
    frozen = timeline.freeze(now_ns + look_ahead_ns)
    ticks = range(max(0, frozen - 5_000), frozen + 1, 7)
    before = [timeline.ns_at(tick) for tick in ticks]
    piece = timeline.change(tempo_mbpm, now_ns)
    assert [timeline.ns_at(tick) for tick in ticks] == before
    assert piece.tick >= frozen
    assert piece.tick > timeline.tick_at(now_ns)
    assert timeline.ns_at(frozen - 1) <= now_ns + look_ahead_ns < timeline.ns_at(frozen)


@given(STEPS, TEMPI)
def test_frozen_only_grows(steps, first_mbpm):
    timeline, now_ns, seen = Timeline(START_NS, first_mbpm), START_NS, 0
    for wait_ns, tempo_mbpm, look_ahead_ns in steps:
        now_ns += wait_ns
        assert timeline.freeze(now_ns + look_ahead_ns) >= seen
        seen = timeline.frozen
        timeline.freeze(now_ns)
        assert timeline.frozen == seen
        timeline.change(tempo_mbpm, now_ns)
        assert timeline.frozen == seen


@given(STEPS, TEMPI, st.lists(st.integers(0, 200_000), min_size=1, max_size=20))
def test_a_mirror_agrees_to_the_nanosecond(steps, first_mbpm, ticks):
    timeline, now_ns = Timeline(START_NS, first_mbpm), START_NS
    mirror = TempoMap(timeline.pieces[0])
    for wait_ns, tempo_mbpm, look_ahead_ns in steps:
        now_ns += wait_ns
        timeline.freeze(now_ns + look_ahead_ns)
        mirror.apply(timeline.change(tempo_mbpm, now_ns))
    assert [mirror.ns_at(tick) for tick in ticks] == [timeline.ns_at(tick) for tick in ticks]


@given(TEMPI, st.integers(0, 10_000_000))
def test_no_drift(tempo_mbpm, beats):
    timeline = Timeline(0, tempo_mbpm)
    exact = -(-beats * 60_000_000_000_000 // tempo_mbpm)
    assert timeline.ns_at(beats * TICKS_PER_BEAT) == exact


def test_a_change_that_never_took_effect_is_replaced():
    timeline = Timeline(0, 120_000)
    timeline.freeze(1_000_000_000)
    timeline.change(60_000, 900_000_000)
    timeline.change(240_000, 900_000_000)
    assert [(piece.tick, piece.tempo_mbpm) for piece in timeline.pieces] == [(0, 120_000), (1921, 240_000)]


def test_old_pieces_are_forgotten():
    timeline = Timeline(0, 120_000)
    for i in range(2_000):
        timeline.freeze(i * 10_000_000)
        timeline.change(100_000 + i, i * 10_000_000)
    assert len(timeline.pieces) <= 256


@pytest.mark.parametrize("tempo_mbpm", [0, -1, 19_999, 999_001])
def test_a_tempo_out_of_range_is_refused_by_name(tempo_mbpm):
    with pytest.raises(SidemanError, match=f"{tempo_mbpm / 1000:g} bpm"):
        Timeline(0, tempo_mbpm)
    timeline = Timeline(0, 120_000)
    with pytest.raises(SidemanError, match="from 20 to 999"):
        timeline.change(tempo_mbpm, 0)
    assert timeline.pieces == (Piece(0, 0, 120_000),)


def test_a_clock_map_follows_drift_and_ignores_a_late_reading():
    drift = 1.0003  # 300 ppm
    clock = ClockMap(1000.0, 5_000_000, 10**9)
    for i in range(1, 400):
        units = 5_000_000 + i * 5333
        late_ns = 200_000 if i == 200 else 0
        clock.observe(units, round(10**9 + i * 5333 * 1000 * drift) + late_ns)
        error_ns = clock.ns_at(units) - (10**9 + i * 5333 * 1000 * drift)
        assert abs(error_ns) < 26_000 + (15_000 if i >= 200 else 0)
    assert clock.units_at(round(clock.ns_at(7_000_000))) == pytest.approx(7_000_000, abs=0.01)


def test_a_clock_map_follows_a_clock_that_was_set():
    clock = ClockMap(1000.0, 0, 0)
    clock.observe(1000, 1_000_000 + 10**9)
    assert clock.ns_at(1000) == 1_000_000 + 10**9
