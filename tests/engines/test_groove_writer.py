"""Writing drum by drum has an exact probability for each of the 512 masks."""

from __future__ import annotations

import numpy as np

from engines.drums.writer import COEFFICIENTS, log_probabilities, write


def test_probabilities_sum_to_one() -> None:
    coefficients = np.random.default_rng(0).normal(0, 3, (20, COEFFICIENTS)).astype(np.float32)
    np.testing.assert_allclose(np.exp(log_probabilities(coefficients)).sum(axis=1), 1.0, atol=1e-4)


def test_a_mask_by_hand() -> None:
    coefficients = np.zeros((1, COEFFICIENTS), np.float32)
    coefficients[0, 0], coefficients[0, 1], coefficients[0, 9] = 1.0, -2.0, 3.0  # kick, snare, snare after kick

    def sigmoid(x: float) -> float:
        return float(1 / (1 + np.exp(-x)))

    p = np.exp(log_probabilities(coefficients))[0]
    np.testing.assert_allclose(p[3], sigmoid(1.0) * sigmoid(1.0) / 2**7, rtol=1e-5)
    np.testing.assert_allclose(p[2], (1 - sigmoid(1.0)) * sigmoid(-2.0) / 2**7, rtol=1e-5)


def test_what_is_written_follows_the_probabilities() -> None:
    random = np.random.default_rng(1)
    coefficients = random.normal(0, 2, COEFFICIENTS).astype(np.float32)
    drawn = np.array([write(coefficients, random.random(9)) for _ in range(20_000)])
    shares = np.bincount(drawn, minlength=512) / len(drawn)
    np.testing.assert_allclose(shares, np.exp(log_probabilities(coefficients[None]))[0], atol=0.012)
