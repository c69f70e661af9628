"""Targets: what the kinds of concept are fitted to, and how predictions and directions are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engines.musicgen.direction import Task

Labels = NDArray[np.float64]
"""[n]: 0 and 1; or the number of the class; or the number itself."""

MEASURES: dict[Task, tuple[str, str]] = {
    "binary": ("AUC", "AUC"),
    "multiclass": ("AUC", "accuracy"),
    "regression": ("correlation", "R2"),
}
"""What the score of a direction is, and what that of the predictor is."""


def targets(task: Task, labels: Labels, fitted: Labels) -> NDArray[np.float64]:
    """[n, c], of mean 0 over the labels that were fitted: one column, or one for each class; regression is z-scored."""
    if task == "multiclass":
        classes = int(fitted.max()) + 1
        each = np.eye(classes)
        return np.asarray(each[labels.astype(np.int64)] - each[fitted.astype(np.int64)].mean(0))
    spread = float(fitted.std()) if task == "regression" else 1.0
    return np.asarray(((labels - fitted.mean()) / (spread or 1.0))[:, None])


def predictor_score(task: Task, predicted: NDArray[np.float64], labels: Labels, wanted: NDArray[np.float64]) -> float:
    """Of predictions [n, c] of the targets `wanted`; higher is better."""
    if task == "multiclass":
        return float((predicted.argmax(1) == labels).mean())
    if task == "binary":
        return auc(predicted[:, 0], labels > 0)
    error, spread = float(((predicted - wanted) ** 2).mean()), float(wanted.var())
    return 1.0 - error / (spread or 1.0)


def direction_scores(task: Task, along: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """[c]: of projections [n, c] on the direction of each column; its sign counts: one that points away scores low."""
    if task == "regression":
        return np.array([_correlation(column, labels) for column in along.T])
    if task == "binary":
        return np.array([auc(column, labels > 0) for column in along.T])
    return np.array([auc(column, labels == number) for number, column in enumerate(along.T)])


def auc(values: NDArray[np.float64], hit: NDArray[np.bool_]) -> float:
    """The chance that one that is hit has a higher value than one that is not (Mann & Whitney 1947); ties are half."""
    from scipy.stats import rankdata

    hits, misses = int(hit.sum()), int((~hit).sum())
    if not hits or not misses:
        return 0.5
    return float((rankdata(values)[hit].sum() - hits * (hits + 1) / 2) / (hits * misses))


def _correlation(values: NDArray[np.float64], labels: Labels) -> float:
    if values.std() == 0 or labels.std() == 0:
        return 0.0
    return float(np.corrcoef(values, labels)[0, 1])
