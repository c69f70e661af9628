"""Temperature, top-k and top-p on a probability distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLDEST = 1e-6
"""A temperature below this is 0: what it divides by would overflow."""


def shaped(
    log_probabilities: NDArray[np.float32], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> NDArray[np.float64]:
    """Probabilities [n] after temperature, top-k and nucleus (Holtzman et al. 2020) cuts, summing to 1.

    log_probabilities: [n], need not be normalised. temperature 0 keeps only the likeliest; top_k 0 and top_p 1 are off.
    """
    if temperature < COLDEST:
        one_hot = np.zeros(log_probabilities.shape[0])
        one_hot[int(np.argmax(log_probabilities))] = 1.0
        return one_hot
    scaled = log_probabilities.astype(np.float64)
    scaled -= scaled.max()
    if temperature != 1.0:
        scaled /= temperature
    p: NDArray[np.float64] = np.exp(scaled)
    if 0 < top_k < p.shape[0]:
        least = np.partition(p, -top_k)[-top_k]
        cut = p < least
        cut[np.flatnonzero(p == least)[top_k - int((p > least).sum()) :]] = True  # of equals the first ones stay
        p[cut] = 0.0
    p /= p.sum()
    if top_p < 1.0:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]
        p[order[1:][before[1:] >= top_p]] = 0.0
        p /= p.sum()
    return p


def pick(probabilities: NDArray[np.float64], uniform: float) -> int:
    """The index at which the cumulative probability passes `uniform` in [0, 1); never one of probability 0."""
    cumulative = np.cumsum(probabilities)
    index = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    if index >= probabilities.shape[0]:
        index = int(np.flatnonzero(probabilities)[-1])
    return index
