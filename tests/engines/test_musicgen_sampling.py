"""Sampling of all codebooks at once: the codes that each alone would have been given."""

from __future__ import annotations

import numpy as np
import pytest

from engines.musicgen.sampling import Settings, sampled
from engines.randomness import generator
from engines.sampling import pick, shaped


@pytest.mark.parametrize("top_k", [0, 1, 20, 64, 250])
@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_codes_are_those_of_each_book_alone(temperature: float, top_k: int, top_p: float) -> None:
    random = np.random.default_rng(0)
    settings = Settings(temperature, top_k, top_p)
    for column in range(40):
        logits = (4 * random.standard_normal((4, 64))).astype(np.float32)
        uniforms = generator(7, column).random(4)
        meant = [
            pick(shaped(row, temperature, top_k, top_p), float(uniform))
            for row, uniform in zip(logits, uniforms, strict=True)
        ]
        assert sampled(logits, settings, 7, column).tolist() == meant


def test_what_cannot_be_is_never_drawn() -> None:
    logits = np.full((3, 8), -np.inf, np.float32)
    logits[:, 2] = 0.0
    assert all(sampled(logits, Settings(), 1, column).tolist() == [2, 2, 2] for column in range(50))
