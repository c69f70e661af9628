"""Intervals: how sure shares, medians and correlations of a few takes are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""Of the normal distribution, for 95 %."""
ROUNDS = 1000


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); (nan, nan) of nothing."""
    if not count:
        return math.nan, math.nan
    share = hits / count
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def drawn_again(
    figure: Callable[[NDArray[np.int64]], float], takes: int, seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """The 95 % interval of a figure of chosen takes, by drawing takes again (Efron 1979); (nan, nan) of too few.

    Takes of one number share seed and prompt over all cells, so they are drawn together.
    """
    random = np.random.default_rng(seed)
    found = np.array([figure(random.integers(0, takes, takes)) for _ in range(rounds)]) if takes else np.zeros(0)
    found = found[np.isfinite(found)]
    if len(found) < rounds // 2:
        return math.nan, math.nan
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def median(values: NDArray[np.float64]) -> float:
    """Of those that are numbers; nan where none is."""
    numbers = values[np.isfinite(values)]
    return float(np.median(numbers)) if len(numbers) else math.nan


def mean(values: NDArray[np.float64]) -> float:
    """Of those that are numbers; nan where none is."""
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if len(numbers) else math.nan


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's, over the pairs that are numbers; nan where there is nothing to rank."""
    from scipy.stats import rankdata

    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 3:
        return math.nan
    a, b = rankdata(x[there]), rankdata(y[there])
    if a.std() == 0.0 or b.std() == 0.0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
