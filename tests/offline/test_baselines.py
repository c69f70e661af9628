from __future__ import annotations

import numpy as np
import pytest

from engines.drums.bar import MASKS, Bar
from engines.drums.model import Controls
from engines.music import Meter
from engines.randomness import generator
from offline.drums.baselines import CopyLastBar, CountModel, fit_baselines
from offline.drums.dataset import DrumDataset, Piece


def piece(masks: list[int], meter: Meter | None = None) -> Piece:
    array = np.array(masks, np.uint16)
    on = (array[:, None] >> np.arange(9)) & 1 != 0
    velocity = np.where(on, 90, 0).astype(np.uint8)
    return Piece(array, velocity, np.zeros_like(velocity, np.int16), meter or Meter(), 120.0)


FOUR = [1, 0, 4, 0] * 4
TRAIN = DrumDataset.of([piece(FOUR * 4), piece([1, 0, 4, 2] * 8), piece([3, 0] * 6, Meter(3, 4))])


@pytest.mark.parametrize("name", list(fit_baselines(TRAIN)))
def test_a_baseline_is_a_distribution_over_every_mask(name: str) -> None:
    p = fit_baselines(TRAIN)[name].distributions(piece(FOUR * 2).bars(), Controls())
    assert p.shape == (32, MASKS)
    assert p.dtype == np.float32
    assert p.min() > 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", list(fit_baselines(TRAIN)))
def test_a_step_is_foretold_without_looking_at_it_or_beyond(name: str) -> None:
    model = fit_baselines(TRAIN)[name]
    one, other = FOUR * 2, [*FOUR, *FOUR[:7], *[511] * 9]
    p = [model.distributions(piece(masks).bars(), Controls()) for masks in (one, other)]
    np.testing.assert_array_equal(p[0][:24], p[1][:24])


def test_counts_are_mixed_with_the_vaguer_guess() -> None:
    model = CountModel([()], strength=16.0).fit(DrumDataset.of([piece([1] * 12 + [0] * 4)]))
    p = model.probabilities(np.zeros(1, np.uint16), 16)[0]
    assert p[1] == pytest.approx((12 + 16 / 512) / 32)
    assert p[0] == pytest.approx((4 + 16 / 512) / 32)
    assert p[7] == pytest.approx(16 / 512 / 32)


def test_a_bigram_follows_the_mask_before() -> None:
    model = CountModel([(), ("previous",)], strength=1.0).fit(DrumDataset.of([piece([1, 2] * 8)]))
    p = model.probabilities(np.array([1, 2, 0], np.uint16), 16)
    assert p.argmax(axis=1).tolist() == [1, 2, 1]


def test_copying_learns_how_often_bars_recur() -> None:
    random = np.random.default_rng(0)
    bars = [random.integers(0, MASKS, 16)]
    for _ in range(200):
        bars.append(np.where(random.random(16) < 0.7, bars[-1], random.integers(0, MASKS, 16)))
    model = CopyLastBar().fit(DrumDataset.of([piece(list(np.concatenate(bars)))]))
    assert model.share == pytest.approx(0.7, abs=0.03)
    p = model.probabilities(np.array([*FOUR, *FOUR], np.uint16), 16)
    assert (p[16:].argmax(axis=1) == FOUR).all()


def test_playing_agrees_with_the_distributions_and_repeats_by_seed() -> None:
    model = fit_baselines(TRAIN)["bar-ago counts"]
    history = piece(FOUR).bars()
    bars = [model.bar(history, None, Meter(), Controls(), generator(1, 0))[0] for _ in range(2)]
    assert (bars[0].masks == bars[1].masks).all()
    greedy, _ = model.bar(history, None, Meter(), Controls(temperature=0.0), generator(1, 0))
    p = model.distributions([*history, greedy], Controls())[16:]
    assert (greedy.masks == p.argmax(axis=1)).all()
    assert (greedy.velocity.any(axis=1) == (greedy.masks > 0)).all()


def test_a_history_in_another_metre_is_no_help_and_no_harm() -> None:
    model = fit_baselines(TRAIN)["copy last bar"]
    bar, _ = model.bar((Bar.silent(Meter()),), None, Meter(7, 8), Controls(), generator(0, 0))
    assert len(bar.masks) == 14
