"""Tonality, told note by note, is that of a whole window; it fades, and drums have none."""

import numpy as np
import pytest

from engines.notes.roles import BASS, DRUMS
from engines.notes.tonality import FLOOR, HALF_LIVES, LANES, Tonality, tonality_of


def window(count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    sixteenths = np.sort(rng.integers(0, 900, count)).astype(np.float64)
    rows = np.zeros((count, 7), np.int32)
    rows[:, 2], rows[:, 3], rows[:, 4] = (
        rng.integers(0, 4, count),
        rng.integers(30, 90, count),
        rng.integers(0, 36, count),
    )
    note = np.sort(rng.choice(count + 20, count, replace=False))
    times = np.interp(np.arange(count + 20), note, sixteenths)
    return times, rows, note


def test_note_by_note_is_the_whole_window() -> None:
    times, rows, note = window()
    whole, now = tonality_of(times, rows, note), Tonality()
    for place, row in zip(note, rows.tolist(), strict=True):
        now = now.heard(times[place], row[2], row[3], row[4])
        assert now.lanes() == pytest.approx(whole[place], abs=1e-5)


def test_the_latest_chord_is_louder_in_the_short_lane() -> None:
    now = Tonality()
    for i in range(16):
        now = now.heard(4.0 * i, BASS, 60, 3)
    now = now.heard(110.0, BASS, 67, 3)
    short, long = now.lanes()[0], now.lanes()[1]
    assert short[7] == 1.0  # G, the strongest of the last bar
    assert long[0] == 1.0  # C, of the last four
    assert 0.0 < short[0] < long[0]
    assert short[1] == 0.0 == long[1]


def test_silence_and_drums_say_nothing() -> None:
    assert not Tonality().lanes().any()
    assert not Tonality().heard(3.0, DRUMS, 36, 0).lanes().any()
    rows = np.zeros((2, 7), np.int32)
    assert not tonality_of(np.zeros(3), rows, np.array([1, 2])).any()


def test_half_is_forgotten_in_a_half_life() -> None:
    for lane, life in enumerate(HALF_LIVES):
        now = Tonality().heard(0.0, BASS, 60, 3).heard(life, BASS, 61, 3)
        expected = 1.0 - np.log(0.5) / np.log(FLOOR)
        assert now.lanes()[lane, 0] == pytest.approx(expected, abs=1e-6)
    assert len(HALF_LIVES) == LANES
