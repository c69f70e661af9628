"""Recursive feature machine: kernel ridge regression whose metric is learned from the gradients of what it predicts.

Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural networks and backpropagation-free
machine learning models" (Science 2024). One round solves the ridge regression under a metric M, then makes M the mean
outer product of the predictor's gradients (AGOP). The leading eigenvectors of the best round's AGOP are the directions
in which what is predicted changes most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DUPLICATE = 1e-10
"""Two examples nearer than this pull at each other with no gradient: they are one and the same."""


@dataclass(frozen=True, slots=True)
class RfmConfig:
    """K = exp(-(distance / bandwidth)^exponent), distance^2 = (x - z)' M (x - z)."""

    bandwidth: float = 1.0  # in medians of the distances between the training examples, under the present metric
    regularisation: float = 1e-3  # added to the kernel's diagonal
    exponent: float = 1.0  # 1 is the Laplace kernel, 2 would be the Gaussian
    centred: bool = False  # the mean gradient is taken from each before the outer product
    iterations: int = 5  # times a metric is learned


@dataclass(frozen=True, slots=True)
class RfmFit:
    """The best round.

    components: float64 [d, k], eigenvectors of the AGOP, the leading one first
    score:      of the validation examples' predictions; iteration: how often the metric had been learned
    predict:    [m, c] for other examples [m, d]
    """

    components: torch.Tensor
    score: float
    iteration: int
    predict: Callable[[torch.Tensor], torch.Tensor]


def fit(
    x: torch.Tensor,
    y: torch.Tensor,
    x_val: torch.Tensor,
    score: Callable[[torch.Tensor], float],
    config: RfmConfig,
    *,
    components: int = 1,
) -> RfmFit:
    """Fit with float64 x [n, d], y [n, c] and x_val [m, d].

    score: of the predictions [m, c] for x_val, higher is better
    """
    import torch

    metric: torch.Tensor | None = None
    best: RfmFit | None = None
    for iteration in range(config.iterations + 1):
        moved = x if metric is None else x @ metric
        distance = distances(x, moved, x, moved).fill_diagonal_(0.0)
        bandwidth = config.bandwidth * median(distance)
        kernel = _kernel(distance, bandwidth, config.exponent)
        kernel.diagonal().add_(config.regularisation)
        weights = torch.linalg.solve(kernel, y)
        predict = _predictor(x, moved, weights, metric, bandwidth=bandwidth, exponent=config.exponent)
        metric = agop(moved, weights, distance, bandwidth, config)
        value = score(predict(x_val))
        if best is None or value > best.score:
            best = RfmFit(metric, value, iteration, predict)  # its AGOP, until its eigenvectors are needed
    if best is None:
        raise ValueError("iterations must be 0 or more")
    _, vectors = torch.linalg.eigh(best.components)
    return replace(best, components=vectors[:, -components:].flip(1))


def distances(x: torch.Tensor, moved_x: torch.Tensor, z: torch.Tensor, moved_z: torch.Tensor) -> torch.Tensor:
    """[n, m] distances between x [n, d] and z [m, d] under a metric M; moved_x, moved_z: x M and z M."""
    square = (moved_x * x).sum(1)[:, None] - 2.0 * moved_x @ z.T + (moved_z * z).sum(1)[None, :]
    return square.clamp_(min=0.0).sqrt_()


def median(distance: torch.Tensor) -> float:
    """Of the distances [n, n] between different examples; 1 where all of them are the same."""
    import torch

    apart = distance[~torch.eye(len(distance), dtype=torch.bool, device=distance.device)]
    return float(apart.median()) or 1.0


def agop(
    moved: torch.Tensor, weights: torch.Tensor, distance: torch.Tensor, bandwidth: float, config: RfmConfig
) -> torch.Tensor:
    """Average gradient outer product [d, d] of sum_i weights_i K(x_i, .) at each x, over its largest entry.

    moved: [n, d], x M; distance: [n, n] between the x under M
    Centred, each output's own mean gradient is taken; xrfm takes that of all outputs together, which is zero where the
    targets of the classes sum to the same everywhere.
    """
    import torch

    slope = distance.clamp(min=DUPLICATE).pow_(config.exponent - 2.0)
    slope *= _kernel(distance, bandwidth, config.exponent) * (-config.exponent / bandwidth**config.exponent)
    slope *= distance >= DUPLICATE  # the kernel has a kink at itself, where a gradient would be anything
    total = torch.zeros(moved.shape[1], moved.shape[1], dtype=moved.dtype, device=moved.device)
    for column in weights.T:  # one output after the other: all of them at once do not fit in memory
        pull = slope * column[:, None]
        gradients = pull.sum(0)[:, None] * moved - pull.T @ moved
        if config.centred:
            gradients -= gradients.mean(0)
        total += gradients.T @ gradients
    return total / total.max().clamp(min=torch.finfo(total.dtype).tiny)


def _predictor(
    x: torch.Tensor,
    moved: torch.Tensor,
    weights: torch.Tensor,
    metric: torch.Tensor | None,
    *,
    bandwidth: float,
    exponent: float,
) -> Callable[[torch.Tensor], torch.Tensor]:
    def predict(z: torch.Tensor) -> torch.Tensor:
        distance = distances(z, z if metric is None else z @ metric, x, moved)
        return _kernel(distance, bandwidth, exponent) @ weights

    return predict


def _kernel(distance: torch.Tensor, bandwidth: float, exponent: float) -> torch.Tensor:
    return (distance / bandwidth).pow_(exponent).neg_().exp_()
