"""Parity: an exported graph must say what the checkpoint says, and a bundle's runtimes must play the same bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.engine import Request
from engines.errors import SidemanError
from engines.music import Meter
from engines.parameter import Parameters
from engines.registry import engine_class
from engines.runtime import Graph
from engines.runtime.context import is_buffer
from export.subject import Heads

STEPS_MIN = 1000

MAX_ABS = 1e-4
"""fp32 and TorchScript: the largest difference of any output."""

KL_MEAN_MAX, KL_MAX = 0.01, 0.5
"""int8: nats by which the distribution of a step may differ, on average and at worst."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one variant agrees with the checkpoint over some steps.

    max_abs: of all heads; kl_mean, kl_max: of the distributions that follow from them, the worst one, in nats
    """

    steps: int
    max_abs: float
    kl_mean: float
    kl_max: float

    def figures(self) -> dict[str, Any]:
        """For the manifest."""
        figures = {"max_abs": self.max_abs, "kl_mean": self.kl_mean, "kl_max": self.kl_max}
        return {"steps": self.steps, **{name: float(f"{value:.3g}") for name, value in figures.items()}}

    def failure(self, exact: bool) -> str:
        """What is out of bounds, "" if nothing is. exact: fp32 and TorchScript, not int8."""
        bounds = [("steps", float(self.steps), float(STEPS_MIN))] if self.steps < STEPS_MIN else []
        limits = (
            [("max_abs", self.max_abs, MAX_ABS)]
            if exact
            else [
                ("kl_mean", self.kl_mean, KL_MEAN_MAX),
                ("kl_max", self.kl_max, KL_MAX),
            ]
        )
        bounds += [(name, value, limit) for name, value, limit in limits if not value <= limit]
        return ", ".join(f"{name} {value:.3g} (bound {limit:g})" for name, value, limit in bounds)


def agreement(reference: Heads, other: Heads, distributions: Callable[[Heads], Heads]) -> Agreement:
    """Compare what two networks said, head by head; one that is not finite agrees in nothing.

    distributions: the log-probabilities that follow from the heads, over the last axis, normalised or not
    """
    steps = len(next(iter(reference.values())))
    max_abs = kl_mean = kl_max = 0.0
    for name, expected in reference.items():
        got = other[name]
        if got.shape != expected.shape or not np.isfinite(got).all():
            return Agreement(steps, np.inf, np.inf, np.inf)
        max_abs = max(max_abs, float(np.abs(got.astype(np.float64) - expected).max(initial=0.0)))
    meant = distributions(other)
    for name, expected in distributions(reference).items():
        kl = divergence(expected, meant[name])
        kl_mean, kl_max = max(kl_mean, float(kl.mean())), max(kl_max, float(kl.max()))
    return Agreement(steps, max_abs, kl_mean, kl_max)


def divergence(reference: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of softmax(other) from softmax(reference): logits [..., K] to nats [...]."""
    p, q = _log_softmax(reference), _log_softmax(other)
    kl: NDArray[np.float64] = np.maximum((np.exp(p) * (p - q)).sum(axis=-1), 0.0)
    return kl


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log


@dataclass(frozen=True, slots=True)
class SameBars:
    """Bars that two variants of a bundle played from the same seed and history.

    ties:      bars that differ, at a step where both variants say the same to within MAX_ABS: the random number fell
               between the two
    different: bars that differ for another reason
    """

    bars: int
    same: int
    ties: int
    different: int

    def figures(self) -> dict[str, Any]:
        """For the manifest."""
        return {"bars": self.bars, "same": self.same, "ties": self.ties, "different": self.different}


def same_bars(bundle: Bundle, one: str, other: str, bars: int = 64, seed: int = 0) -> SameBars:
    """Play `bars` bars with variant `one` and each of them again with `other`, after the same history."""
    watched = [_Watched(bundle.path, bundle.manifest) for _ in range(2)]
    kind = engine_class(bundle.manifest.engine)
    engines = [kind.load(each, variant) for each, variant in zip(watched, (one, other), strict=True)]
    meter, parameters = Meter(), Parameters(engines[0].parameters).snapshot()
    state = engines[0].start(seed)
    same = ties = 0
    for number in range(bars):
        for each in watched:
            each.calls.clear()
        request = Request(
            bar=number, start_tick=number * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter,
            tempo_bpm=120.0, parameters=parameters, seed=seed,
        )  # fmt: skip
        first, following = engines[0].generate(request, state)
        second, _ = engines[1].generate(request, state)
        if first == second:
            same += 1
        elif _gap(watched[0].calls, watched[1].calls) <= MAX_ABS:
            ties += 1
        state = following
    return SameBars(bars, same, ties, bars - same - ties)


@dataclass(frozen=True, slots=True)
class _Call:
    graph: str
    inputs: Mapping[str, NDArray[Any]]
    outputs: tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class _Watched(Bundle):
    """A bundle whose graphs note what goes through them."""

    calls: list[_Call] = field(default_factory=list)

    def graph(self, name: str, variant: str = "auto", threads: int = 1, device: str = "cpu") -> Graph:
        inner = Bundle.graph(self, name, variant, threads, device)
        buffers = sum(is_buffer(each.name) for each in self.manifest.graphs[name].inputs)

        def watched(**inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
            outputs = inner(**inputs)
            said = outputs[: len(outputs) - buffers]  # buffers are megabytes, and hold what was heard before
            kept = {key: value.copy() for key, value in inputs.items() if not is_buffer(key)}
            self.calls.append(_Call(name, kept, tuple(output.copy() for output in said)))
            return outputs

        return watched


def _gap(one: list[_Call], other: list[_Call]) -> float:
    """The largest difference of any output, over the calls before the two went separate ways."""
    gap = 0.0
    for a, b in zip(one, other, strict=False):
        if a.graph != b.graph or not all(_near(a.inputs[name], b.inputs[name]) for name in a.inputs):
            break
        for x, y in zip(a.outputs, b.outputs, strict=True):
            gap = max(gap, float(np.abs(x.astype(np.float64) - y).max(initial=0.0)))
    return gap


def _near(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, atol=MAX_ABS)


class ParityError(SidemanError):
    """A graph does not say what its checkpoint says."""
