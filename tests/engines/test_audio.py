"""A loop is what it says, and a stretched one keeps its beats where they belong and its seams whole."""

import numpy as np
import pytest

from engines.audio import Loop, frames_in
from engines.stretch import stretched, stretched_round

RATE = 48_000


def clicks(beats: int, beat_frames: int) -> np.ndarray:
    frames = np.zeros((beats * beat_frames, 1), np.float32)
    for beat in range(beats):
        frames[beat * beat_frames : beat * beat_frames + 300, 0] = np.exp(-np.arange(300) / 40)
    return frames


def sine(frames: int, cycles: int) -> np.ndarray:
    wave = np.sin(2 * np.pi * cycles * np.arange(frames) / frames)
    return np.stack([0.5 * wave, 0.25 * wave], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("loop", "complaint"),
    [
        (Loop(np.zeros((10, 2), np.float64), RATE, 960), "float32"),
        (Loop(np.zeros((10,), np.float32), RATE, 960), "float32"),
        (Loop(np.zeros((0, 2), np.float32), RATE, 960), "one or two channels"),
        (Loop(np.zeros((10, 3), np.float32), RATE, 960), "one or two channels"),
        (Loop(np.zeros((10, 1), np.float32), 4_000, 960), "4000 Hz"),
        (Loop(np.full((24_000, 1), np.nan, np.float32), RATE, 960), "not finite"),
        (Loop(np.zeros((23_998, 1), np.float32), RATE, 960), "23998 frames instead of 24000"),
    ],
)
def test_a_loop_that_cannot_be_played_is_refused(loop, complaint):
    with pytest.raises(ValueError, match=complaint):
        loop.check(120.0)


def test_loops_are_equal_by_their_samples():
    frames = sine(24_000, 100)
    assert Loop(frames, RATE, 960) == Loop(frames.copy(), RATE, 960)
    assert Loop(frames, RATE, 960) != Loop(frames + np.float32(0.1), RATE, 960)
    assert Loop(frames, RATE, 960) != Loop(frames, 44_100, 960)


def test_frames_in_a_bar():
    assert frames_in(3840, 120.0, RATE) == 96_000
    assert frames_in(3840, 97.3, 44_100) == 108_777


def test_as_many_frames_as_wanted_are_not_touched_also_across_the_end():
    frames = clicks(4, 24_000)
    assert np.array_equal(stretched(frames, 24_000, 72_000, 48_000, RATE), frames[24_000:72_000])
    turned = np.concatenate([frames[90_000:], frames[:6_000]])
    assert np.array_equal(stretched(frames, 90_000, 102_000, 12_000, RATE), turned)


@pytest.mark.parametrize("wanted", [40_000, 47_000, 52_345, 96_000])
def test_a_stretched_span_has_its_clicks_where_they_belong(wanted):
    made = stretched(clicks(4, 24_000), 24_000, 72_000, wanted, RATE)
    assert made.shape == (wanted, 1) and made.dtype == np.float32
    for expected in (0, wanted // 2):
        first = max(0, expected - 3_000)
        found = first + int(np.abs(made[first : expected + 3_000, 0]).argmax())
        assert abs(found - expected) <= 1


def test_a_stretched_loop_keeps_its_pitch_and_goes_round_without_a_click():
    frames = sine(96_000, 880)  # 440 Hz, which is no whole number of cycles in 80,000 frames
    made = stretched_round(frames, 80_000, RATE)
    spectrum = np.abs(np.fft.rfft(made[:, 0]))
    assert int(spectrum.argmax()) * RATE / 80_000 == pytest.approx(440.0, abs=1.0)
    assert np.abs(made[:, 1]).max() == pytest.approx(np.abs(made[:, 0]).max() / 2, rel=0.05)
    steps = np.abs(np.diff(np.concatenate([made, made])[:, 0]))
    assert steps[79_900:80_100].max() < 1.5 * steps[20_000:60_000].max()
