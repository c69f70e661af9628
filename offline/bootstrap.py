"""Intervals of means over files or groups, by drawing them again (Efron 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000


def interval(
    sums: NDArray[np.float64], counts: NDArray[np.int64], seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """95 % interval of sums.sum() / counts.sum(), such as bits a bar.

    sums, counts: [files]; for a paired difference of two models, sums is the difference per file
    """
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(sums), (rounds, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
