"""What the line knows of a clock that jitters, loses pulses, doubles them, jumps, or is none."""

import math
import random

import pytest

from bridge.timing.sync.clock_line import ClockLine

START_NS = 1e9
SEEDS = range(4)


def arrivals(bpm, pulses, seed, *, jitter_ms=1.0, lost=0.0, doubled=0.0, rounded_ms=0.0):
    """(when a pulse arrives, its number)."""
    rng = random.Random(seed)
    period_ns = 60e9 / 24 / bpm
    found = []
    for number in range(pulses):
        if rng.random() < lost:
            continue
        at_ns = START_NS + number * period_ns + rng.gauss(0, jitter_ms * 1e6)
        if rounded_ms:
            at_ns = round(at_ns / (rounded_ms * 1e6)) * rounded_ms * 1e6
        found.append((at_ns, number))
        if rng.random() < doubled:
            found.append((at_ns + rng.uniform(0.1e6, 1.5e6), number))
    return sorted(found)


def bpm_of(line):
    return 60e9 / 24 / line.period_ns


def follow(bpm, seed, *, bars=8, **trouble):
    """(tempo's error after two bars, rms of the phase from then on in ms, pulses counted too many)."""
    line, phases_ms, tempo_off = ClockLine(), [], None
    period_ns = 60e9 / 24 / bpm
    for at_ns, number in arrivals(bpm, 96 * bars, seed, **trouble):
        line.clock(at_ns)
        if number <= 2 * 96:
            tempo_off = abs(bpm_of(line) - bpm) if line.period_ns else None
        else:
            phases_ms.append((line.at_ns(line.count) - START_NS - number * period_ns) / 1e6)
    return tempo_off, math.sqrt(sum(off * off for off in phases_ms) / len(phases_ms)), line.count - 1 - number


@pytest.mark.parametrize("bpm", [70, 97.3, 180])
@pytest.mark.parametrize("trouble", [{"lost": 0.01}, {"lost": 0.01, "doubled": 0.01}, {"doubled": 1.0}])
def test_tempo_and_phase_with_a_millisecond_of_jitter(bpm, trouble):
    for seed in SEEDS:
        tempo_off, phase_ms, too_many = follow(bpm, seed, **trouble)
        print(f"{bpm} bpm, {trouble}: {tempo_off:.3f} bpm off after two bars, then {phase_ms:.2f} ms rms")
        assert tempo_off < 0.1
        assert phase_ms < 0.5
        assert too_many == 0


@pytest.mark.parametrize("bpm", [70, 97.3, 140])
def test_arrivals_rounded_to_a_period_of_the_sound_card(bpm):
    for seed in SEEDS:
        tempo_off, _, too_many = follow(bpm, seed, jitter_ms=0.1, rounded_ms=5.333)
        assert tempo_off < 0.1
        assert too_many == 0


@pytest.mark.parametrize("periods", [1.0, 1.5])
def test_jitter_beyond_the_period_leaves_the_count(periods):
    """Within 1 bpm after four bars; of the phase nothing is promised."""
    for seed in SEEDS:
        line = ClockLine()
        jittered = sorted(at_ns for at_ns, _ in arrivals(97.3, 4 * 96, seed, jitter_ms=periods * 25.7))
        for at_ns in jittered:
            line.clock(at_ns)
        assert not line.exact
        assert line.count == len(jittered)
        assert bpm_of(line) == pytest.approx(97.3, abs=1)


@pytest.mark.parametrize("bpm", [5, 20, 999, 2000])
def test_a_clock_too_slow_or_too_fast_is_measured_all_the_same(bpm):
    line = ClockLine()
    for at_ns, _ in arrivals(bpm, 200, 1, jitter_ms=0.05):
        line.clock(at_ns)
    assert bpm_of(line) == pytest.approx(bpm, rel=1e-3)
    assert line.count == 200


@pytest.mark.parametrize(("before", "after"), [(97.3, 98.3), (97.3, 140), (200, 97), (60, 240), (240, 60)])
def test_a_tempo_that_jumps_is_known_again_within_two_beats(before, after):
    line, rng, at_ns = ClockLine(), random.Random(3), START_NS
    for _ in range(300):
        line.clock(at_ns + rng.gauss(0, 1e6))
        at_ns += 60e9 / 24 / before
    tempi = []
    for _ in range(300):
        line.clock(at_ns + rng.gauss(0, 1e6))
        tempi.append(bpm_of(line))
        at_ns += 60e9 / 24 / after
    assert all(tempo == pytest.approx(after, rel=0.02) for tempo in tempi[48:])
    assert tempi[-1] == pytest.approx(after, abs=0.1)


def test_a_phase_that_jumps_by_a_third_is_met_within_a_quarter():
    line, period_ns = ClockLine(), 60e9 / 24 / 120
    for number in range(400):
        line.clock(START_NS + number * period_ns + (0.3 * period_ns if number >= 200 else 0))
        if number >= 206:
            assert line.at_ns(line.count) == pytest.approx(START_NS + (number + 0.3) * period_ns, abs=0.5e6)


@pytest.mark.parametrize("jitter_ms", [0.01, 1.0])
@pytest.mark.parametrize("late_ms", [5, 20])
def test_one_late_pulse_leaves_the_tempo_alone(jitter_ms, late_ms):
    for seed in SEEDS:
        line, tempi = ClockLine(), []
        for at_ns, number in arrivals(97.3, 400, seed, jitter_ms=jitter_ms):
            line.clock(at_ns + (late_ms * 1e6 if number == 300 else 0))
            if number >= 300:
                tempi.append(bpm_of(line))
        assert tempi == pytest.approx([97.3] * 100, abs=0.1)
        assert line.count == 400


@pytest.mark.parametrize("jump_ms", [5.3, 10.7, -10.7])
def test_a_server_that_slips_a_cycle_moves_the_phase_and_not_the_tempo(jump_ms):
    for seed in SEEDS:
        line, tempi = ClockLine(), []
        for at_ns, number in arrivals(97.3, 400, seed, jitter_ms=0.05):
            line.clock(at_ns + (jump_ms * 1e6 if number >= 300 else 0))
            if number >= 305:
                due_ns = START_NS + number * 60e9 / 24 / 97.3 + jump_ms * 1e6
                assert line.at_ns(line.count) == pytest.approx(due_ns, abs=0.2e6)
                tempi.append(bpm_of(line))
        assert tempi == pytest.approx([97.3] * len(tempi), abs=0.2)


def test_pulses_that_were_held_up_and_come_together_are_all_counted():
    line, period_ns = ClockLine(), 60e9 / 24 / 97.3
    for number in range(400):
        line.clock(START_NS + (303 if 300 <= number < 303 else number) * period_ns + number)
    assert line.count == 400
    assert bpm_of(line) == pytest.approx(97.3, abs=0.01)


def test_pulses_lost_in_a_row_are_counted():
    line, period_ns = ClockLine(), 60e9 / 24 / 120
    for number in (*range(100), *range(105, 200)):
        line.clock(START_NS + number * period_ns)
    assert line.count == 200


def test_after_a_pause_the_tempo_is_still_known_and_the_phase_is_new():
    line, period_ns = ClockLine(), 60e9 / 24 / 97.3
    for number in range(200):
        line.clock(START_NS + number * period_ns)
    line.begin()
    resumed_ns = START_NS + 234.56 * period_ns
    line.clock(resumed_ns)
    assert line.count == 201
    assert line.settled
    assert line.at_ns(202) == pytest.approx(resumed_ns + period_ns, abs=1000)


def test_a_long_gap_is_counted_by_the_time_that_passed():
    line, period_ns = ClockLine(), 60e9 / 24 / 97.3
    for number in (*range(200), *range(600, 700)):
        line.clock(START_NS + number * period_ns)
    assert line.count == 700
    assert bpm_of(line) == pytest.approx(97.3, abs=0.01)
