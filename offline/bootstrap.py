"""Intervals of means over files or groups, by drawing them again (Efron 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000


def means(sums: NDArray[np.float64], counts: NDArray[np.int64], seed: int, rounds: int = ROUNDS) -> NDArray[np.float64]:
    """sums.sum() / counts.sum() of so many draws [rounds]; sums, counts: [files]."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(sums), (rounds, len(sums)))
    found: NDArray[np.float64] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return found


def interval(
    sums: NDArray[np.float64], counts: NDArray[np.int64], seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """95 % interval of sums.sum() / counts.sum(), such as bits a bar.

    sums, counts: [files]; for a paired difference of two models, sums is the difference per file
    """
    return middle(means(sums, counts, seed, rounds))


def middle(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % in the middle of what was drawn."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
