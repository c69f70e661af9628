"""A bar of sound is laid on the beat, and joined to what was before."""

from __future__ import annotations

import numpy as np
import pytest

from engines.music import Meter
from engines.musicgen.bars import faded, stretched_bar
from engines.musicgen.grid import best_lie, onset_strength

RATE = 32_000
FOUR = Meter()


def clicks(bpm: float, seconds: float, first_s: float = 0.0, rate: int = RATE) -> np.ndarray:
    t = np.arange(round(0.05 * rate)) / rate
    sound = np.zeros((round(seconds * rate), 1), np.float32)
    for beat in range(int((seconds - first_s) * bpm / 60)):
        at = round((first_s + beat * 60 / bpm) * rate)
        click = (0.8 if beat % 4 == 0 else 0.4) * np.sin(2 * np.pi * 900 * t) * np.exp(-t / 0.01)
        sound[at : at + len(t), 0] += click[: len(sound) - at]
    return sound


@pytest.mark.parametrize("off", [0.97, 1.03, 1.05])
def test_clicks_off_tempo_are_found_and_stretched_onto_the_grid(off: float) -> None:
    wanted = 2 * RATE
    sound = clicks(120 * off, 2.3)
    lie = best_lie(sound, RATE, wanted, FOUR, 3840, offset_max=0, stretch=True)
    assert lie.count == pytest.approx(wanted / off, abs=0.006 * RATE)
    made = stretched_bar(sound, 0, lie.count, wanted, fade=100, rate=RATE)
    assert len(made) == wanted + 100
    strength = onset_strength(made, RATE)
    peaks = [i for i in range(1, len(strength) - 1) if strength[i] > 2 and strength[i] == strength[i - 1 : i + 2].max()]
    for beat in (0.5, 1.0, 1.5):
        assert min(abs(peak * 0.005 - beat) for peak in peaks) <= 0.01


def test_a_fresh_start_begins_on_the_downbeat() -> None:
    sound = clicks(120, 3.0, first_s=0.31)
    lie = best_lie(sound, RATE, 2 * RATE, FOUR, 3840, offset_max=RATE // 2, stretch=True)
    assert lie.offset == pytest.approx(0.31 * RATE, abs=0.01 * RATE)
    assert lie.count == pytest.approx(2 * RATE, abs=0.011 * RATE)


def test_where_nothing_is_gained_nothing_is_stretched() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((3 * RATE, 1)).astype(np.float32)
    hum = np.sin(np.arange(3 * RATE) * 0.03)[:, None].astype(np.float32)
    for sound in (clicks(120, 2.5), hum, np.zeros_like(hum)):
        assert best_lie(sound, RATE, 2 * RATE, FOUR, 3840, offset_max=0, stretch=True).count == 2 * RATE
    assert best_lie(noise, RATE, 2 * RATE, FOUR, 3840, offset_max=0, stretch=False).count == 2 * RATE


def test_a_seam_is_faded_over() -> None:
    joined = faded(np.ones((4, 1), np.float32), np.zeros((6, 1), np.float32))
    np.testing.assert_allclose(joined[:, 0], [0.8, 0.6, 0.4, 0.2, 0, 0], atol=1e-6)
