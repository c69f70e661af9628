"""What JACK's transport says of bar, beat and tick, as ticks of ours."""

from types import SimpleNamespace

import pytest

from bridge.timing.sync.jack import BBT_VALID, Positions

RATE = 48_000


def position(frame, *, bpm=97.3, beats_per_bar=4, beat_type=4, ticks_per_beat=1920, valid=BBT_VALID):
    """As a timebase master with whole ticks, cut off, says it."""
    beats = frame / RATE * bpm / 60 + 1e-9
    return SimpleNamespace(
        valid=valid,
        frame=frame,
        bar=int(beats // beats_per_bar) + 1,
        beat=int(beats % beats_per_bar) + 1,
        tick=int(beats % 1 * ticks_per_beat),
        bar_start_tick=6.9e-310,  # some leave it as it was
        beats_per_bar=float(beats_per_bar),
        beat_type=float(beat_type),
        ticks_per_beat=float(ticks_per_beat),
        beats_per_minute=bpm,
    )


@pytest.mark.parametrize("ticks_per_beat", [24, 960, 1920])
def test_many_cut_off_ticks_say_exactly_where_it_is(ticks_per_beat):
    positions = Positions(120_000, RATE)
    errors = []
    for frame in range(RATE * 7, RATE * 37, 240):
        positions.told(position(frame, ticks_per_beat=ticks_per_beat))
        errors.append(positions.tick(frame) - frame / RATE * 97.3 / 60 * 960)
    assert positions.tempo_mbpm == 97_300
    late = errors[len(errors) // 2 :]
    assert max(map(abs, late)) < 960 / ticks_per_beat * 0.05 + 0.02


def test_eighths_are_half_a_beat_of_ours():
    positions = Positions(120_000, RATE)
    positions.told(position(RATE * 3, bpm=180.0, beats_per_bar=6, beat_type=8))
    assert positions.tempo_mbpm == 90_000
    assert positions.tick(RATE * 3) == pytest.approx(9 * 480, abs=0.3)


def test_a_jump_is_taken_as_it_is():
    positions = Positions(120_000, RATE)
    positions.told(position(RATE))
    positions.told(position(RATE * 100))
    assert positions.tick(RATE * 100) == pytest.approx(100 * 97.3 / 60 * 960, abs=0.6)


def test_without_a_master_the_tempo_is_ours_and_turns_where_we_are():
    positions = Positions(120_000, RATE)
    positions.told(position(RATE, valid=0))
    assert not positions.led
    assert positions.tick(RATE) == 1920
    positions.turn(60_000, RATE)
    assert positions.tick(2 * RATE) == 1920 + 960


@pytest.mark.parametrize("odd", [{"ticks_per_beat": 0}, {"beat_type": 0}])
def test_a_master_that_says_nonsense_is_none(odd):
    positions = Positions(120_000, RATE)
    said = position(RATE)
    for name, value in odd.items():
        setattr(said, name, value)
    positions.told(said)
    assert not positions.led
    assert positions.tempo_mbpm == 120_000
