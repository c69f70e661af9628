"""What the humaniser sees is the same while a bar is played as over a whole piece; bins, medians and samples agree."""

from __future__ import annotations

import numpy as np
import pytest

from engines.drums.bar import INSTRUMENTS, Bar, hits
from engines.drums.humaniser import BINS, Performance, Played, bins_of, medians, sampled
from engines.music import Meter


def piece(meter: Meter, count: int, seed: int) -> list[Bar]:
    random = np.random.default_rng(seed)
    bars = []
    for _ in range(count):
        masks = random.choice([0, 0, 1, 4, 5, 6, 260], meter.steps).astype(np.uint16)
        on = hits(masks)
        velocity = np.where(on, random.integers(1, 128, on.shape), 0).astype(np.uint8)
        bars.append(Bar(meter, masks, velocity, np.where(on, random.integers(-120, 120, on.shape), 0).astype(np.int16)))
    return bars


def played(bars: list[Bar], steps: int) -> Played:
    return Played.of(
        np.concatenate([bar.masks for bar in bars]),
        np.concatenate([bar.velocity for bar in bars]),
        np.concatenate([bar.offset for bar in bars]),
        np.array([0, sum(len(bar.masks) for bar in bars)]),
        np.array([steps]),
    )


@pytest.mark.parametrize("meter", ["2/4", "3/4", "4/4", "5/4", "6/8", "7/8"])
def test_step_by_step_equals_the_whole_piece(meter: str) -> None:
    n = Meter.parse(meter).steps
    bars = piece(Meter.parse(meter), 40, seed=n)
    whole = played(bars, n)
    for number, bar in enumerate(bars):
        performance = Performance(bars[:number], bar.masks)
        for step in np.flatnonzero(bar.masks):
            row = np.array([number * n + step])
            around, heard, means = performance.look(int(step))
            np.testing.assert_array_equal(around, whole.around(row, whole_piece=False))
            np.testing.assert_array_equal(heard, whole.heard(row))
            np.testing.assert_array_equal(means, whole.means(row))
            values = np.stack([bar.velocity[step], bar.offset[step]]).astype(np.float64)
            performance.play(int(step), values)


def test_the_whole_piece_sees_beyond_the_bar() -> None:
    bars = piece(Meter(), 3, seed=1)
    whole = played(bars, 16)
    row = np.array([15])
    assert (whole.around(row, whole_piece=False)[0, 17:] == 512).all()
    np.testing.assert_array_equal(whole.around(row, whole_piece=True)[0, 17:], bars[1].masks[:8])


def test_samples_fall_where_the_probability_is() -> None:
    probability = np.full((2, INSTRUMENTS, BINS), 1e-9, np.float32)
    velocity = np.full((1, INSTRUMENTS), 90, np.uint8)
    offset = np.full((1, INSTRUMENTS), -33, np.int16)
    for kind, bins in enumerate(bins_of(velocity, offset)[0]):
        probability[kind, np.arange(INSTRUMENTS), bins] = 1.0
    cumulative = np.cumsum(probability, axis=2)
    cumulative /= cumulative[..., -1:]
    for seed in range(20):
        drawn = sampled(cumulative, np.random.default_rng(seed).random((2, 2, INSTRUMENTS)))
        assert (drawn[0] // 4 == 90 // 4).all()
        assert (np.abs(drawn[1] + 33) <= 8).all()
    middle = medians(cumulative[None])[0]
    assert (np.abs(middle[0] - 90) <= 2).all()
    assert (np.abs(middle[1] + 33) <= 4).all()


def test_the_median_of_many_samples_is_the_median() -> None:
    random = np.random.default_rng(3)
    cumulative = np.cumsum(random.dirichlet(np.ones(BINS), (2, INSTRUMENTS)), axis=2).astype(np.float32)
    drawn = np.stack([sampled(cumulative, random.random((2, 2, INSTRUMENTS))) for _ in range(4000)])
    np.testing.assert_allclose(np.median(drawn, axis=0), medians(cumulative[None])[0], atol=9)
