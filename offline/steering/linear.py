"""Directions that are made without a kernel: what RFM is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Regularisations that are tried, as shares of the largest eigenvalue of x'x."""


def diffmean(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[d, c]: for a class, from the mean of the others to its own (Marks & Tegmark 2023); else the covariance with y.

    x: float64 [n, d], of mean 0; y: [n, c], of mean 0. Of length 1.
    """
    return unit(x.T @ y)


def ridges(x: torch.Tensor, y: torch.Tensor, shares: Sequence[float] = RIDGES) -> list[torch.Tensor]:
    """[d, c] for each regularisation: the weights of ridge regression of y on x, of length 1; see diffmean."""
    import torch

    u, s, v = torch.linalg.svd(x, full_matrices=False)
    spread, largest = u.T @ y, float(s[0]) ** 2 or 1.0
    return [unit(v.T @ ((s / (s**2 + share * largest))[:, None] * spread)) for share in shares]


def projected(components: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[d, c]: components [d, k] summed, each with its covariance with y as its sign and weight; of length 1.

    Of one component this is its sign by correlation; of all d of them it is diffmean.
    """
    return unit(components @ (components.T @ (x.T @ y)))


def random(width: int, seed: Sequence[int]) -> torch.Tensor:
    """[d, 1] of length 1, in any direction alike."""
    import numpy as np
    import torch

    return unit(torch.from_numpy(np.random.default_rng(list(seed)).standard_normal((width, 1))))


def unit(columns: torch.Tensor) -> torch.Tensor:
    """Columns [d, c] of length 1; those of length 0 stay."""
    found: torch.Tensor = columns / columns.norm(dim=0).clamp(min=1e-300)
    return found
