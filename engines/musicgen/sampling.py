"""From logits to codes: guidance, then temperature, top-k and top-p, with the randomness of the step.

Guidance is Ho and Salimans' ("Classifier-Free Diffusion Guidance", 2022) as MusicGen uses it:
unconditioned + scale * (conditioned - unconditioned).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.randomness import generator
from engines.sampling import COLDEST, pick, shaped

GUIDANCE = 3.0
GUIDANCE_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """temperature 0 takes the likeliest; top_k 0 and top_p 1 are off; guidance 1 asks only with the text."""

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 1.0
    guidance: float = GUIDANCE

    def check(self) -> None:
        """Raise SidemanError for a value out of its range, NaN among them."""
        ranges = (("temperature", self.temperature, 0.0, 10.0), ("top_k", self.top_k, 0, 1 << 20),
                  ("top_p", self.top_p, 0.0, 1.0), ("guidance", self.guidance, 0.0, GUIDANCE_MAX))  # fmt: skip
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise SidemanError(f"{name} is {value}; it goes from {low:g} to {high:g}")


def guided(conditioned: NDArray[np.float32], unconditioned: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Logits of any shape."""
    return unconditioned + np.float32(scale) * (conditioned - unconditioned)


def sampled(logits: NDArray[np.float32], settings: Settings, seed: int, column: int) -> NDArray[np.int64]:
    """Codes int64 [books] for a column from logits float32 [books, vocabulary].

    The same seed and column draw the same numbers, whatever was drawn before.
    """
    uniforms = generator(seed, column).random(len(logits))
    if settings.top_p < 1.0 or settings.temperature < COLDEST:
        rows = (shaped(each, settings.temperature, settings.top_k, settings.top_p) for each in logits)
        return np.array([pick(row, float(uniform)) for row, uniform in zip(rows, uniforms, strict=True)], np.int64)
    # All codebooks at once, in a quarter of the time: a step of a small model is not much dearer than its sampling.
    scaled = logits.astype(np.float64)
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled / settings.temperature)
    if 0 < settings.top_k < weights.shape[1]:
        least = np.partition(weights, -settings.top_k, axis=1)[:, -settings.top_k, None]
        weights[weights < least] = 0.0
    cumulative = weights.cumsum(axis=1)
    passed = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0.0).argmax(axis=1)
    return np.asarray(np.minimum(passed, last), np.int64)
