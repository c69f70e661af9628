"""Search: for one layer, the direction of each method that does best on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.musicgen.direction import Method, Task
from offline.steering.linear import RIDGES, diffmean, projected, ridges
from offline.steering.rfm import RfmConfig, fit
from offline.steering.targets import Labels, direction_scores, predictor_score, targets

if TYPE_CHECKING:
    import torch

METHODS: tuple[Method, ...] = ("rfm", "diffmean", "ridge")
COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
STANDARDISE = ("layer", "feature")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched, and how long.

    trials:      settings of the feature machine that are tried; the first is RfmConfig's own, the others are drawn
    standardise: "layer": one number for all features, so that directions are those of the raw activations; "feature":
                 each feature by its own spread, which is multiplied back into the direction
    """

    task: Task
    methods: tuple[Method, ...] = METHODS
    trials: int = 8
    iterations: int = 5
    standardise: str = "feature"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A split: activations of one layer [n, d] and labels [n]."""

    x: NDArray[np.float64]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Found:
    """A method's direction for each class [c, d], of length 1, in raw activations; its scores [c] on the two splits.

    detail: the settings that won and, of rfm, how its predictor did on the two splits
    """

    vectors: NDArray[np.float32]
    validation: list[float]
    test: list[float]
    detail: dict[str, Any]


def search(train: Part, validation: Part, test: Part, plan: Plan, device: torch.device) -> dict[Method, Found]:
    """The best direction by each method of the plan. Test only judges: nothing is chosen by it."""
    import torch

    mean = train.x.mean(0)
    spread = train.x.std(0) if plan.standardise == "feature" else np.full(len(mean), (train.x - mean).std())
    divisor = np.where(spread > 0, spread, 1.0)
    place = device if device.type == "cuda" else torch.device("cpu")  # others have no float64
    x, x_val, x_test = (torch.from_numpy((part.x - mean) / divisor).to(place) for part in (train, validation, test))
    y = torch.from_numpy(targets(plan.task, train.labels, train.labels)).to(place)

    def judged(direction: torch.Tensor, detail: dict[str, Any]) -> Found:
        """A direction [d, c] of standardised activations, brought back to raw ones and scored there."""
        raw = direction.cpu().numpy() * spread[:, None]
        raw /= np.maximum(np.linalg.norm(raw, axis=0), 1e-300)
        scores = [
            direction_scores(plan.task, (part.x - mean) @ raw, part.labels).tolist() for part in (validation, test)
        ]
        return Found(np.ascontiguousarray(raw.T, np.float32), scores[0], scores[1], detail)

    found: dict[Method, Found] = {}
    if "diffmean" in plan.methods:
        found["diffmean"] = judged(diffmean(x, y), {})
    if "ridge" in plan.methods:
        found["ridge"] = max(
            (judged(w, {"regularisation": share}) for w, share in zip(ridges(x, y), RIDGES, strict=True)), key=_mean
        )
    if "rfm" in plan.methods:
        wanted = [targets(plan.task, part.labels, train.labels) for part in (validation, test)]

        def score(predicted: torch.Tensor, part: Part = validation, wanted: NDArray[np.float64] = wanted[0]) -> float:
            return predictor_score(plan.task, predicted.cpu().numpy(), part.labels, wanted)

        def tried() -> Iterator[Found]:
            for trial in range(plan.trials):
                config = settings(plan.seed, trial, plan.iterations)
                fitted = fit(x, y, x_val, score, config, components=min(COMPONENTS[-1], x.shape[1]))
                scores = [fitted.score, score(fitted.predict(x_test), test, wanted[1])]
                detail = {"predictor": scores, "iteration": fitted.iteration, **asdict(config)}
                for count in (count for count in COMPONENTS if count <= fitted.components.shape[1]):
                    direction = projected(fitted.components[:, :count], x, y)
                    yield judged(direction, {"components": count, **detail})

        found["rfm"] = max(tried(), key=lambda one: (_mean(one), one.detail["predictor"][0]))
    return found


def settings(seed: int, trial: int, iterations: int) -> RfmConfig:
    """The settings of a trial, the same for every layer."""
    if trial == 0:
        return RfmConfig(iterations=iterations)
    random = np.random.default_rng([seed, trial])
    return RfmConfig(
        bandwidth=float(np.exp(random.uniform(np.log(0.3), np.log(10.0)))),
        regularisation=float(np.exp(random.uniform(np.log(1e-5), np.log(10.0)))),
        exponent=float(random.uniform(0.7, 1.4)),
        centred=bool(random.integers(2)),
        iterations=iterations,
    )


def _mean(found: Found) -> float:
    return float(np.mean(found.validation))
