"""Steps decided ahead on a guess come out as if they had been decided one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.bundle import Bundle, shipped_folder
from engines.drums import groove
from engines.drums.bar import Bar
from engines.drums.groove import GrooveModel
from engines.drums.model import Controls
from engines.music import Meter

METRES = ["4/4"] * 8 + ["7/8", "5/4", "7/8", "4/4", "2/4"]


def played(model: GrooveModel, controls: Controls, seed: int) -> list[Bar]:
    bars: list[Bar] = []
    carry = model.prime((), controls)
    for number, metre in enumerate(METRES):
        bar, carry = model.bar(tuple(bars), carry, Meter.parse(metre), controls, np.random.default_rng((seed, number)))
        bars.append(bar)
    return bars


@pytest.mark.parametrize(
    "controls",
    [Controls(), Controls("funk", bpm=96.0, variation=2.0), Controls(density=0.8, temperature=0.7, top_p=0.9)],
)
def test_a_bar_is_the_same_however_far_ahead_is_guessed(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    model = GrooveModel.load(Bundle.load(shipped_folder() / "groove"), "fp32")
    songs = []
    for ahead in (1, groove.AHEAD, 28):
        monkeypatch.setattr(groove, "AHEAD", ahead)
        songs.append(played(model, controls, seed=3))
    for bars in zip(*songs, strict=True):
        for name in ("masks", "velocity", "offset"):
            np.testing.assert_array_equal(getattr(bars[0], name), getattr(bars[1], name))
            np.testing.assert_array_equal(getattr(bars[0], name), getattr(bars[2], name))
    assert len({bar.masks.tobytes() for bar in songs[0]}) > 5


def test_guesses_spare_calls_of_the_graph() -> None:
    bundle = Bundle.load(shipped_folder() / "groove")
    step = bundle.graph("step", "fp32")
    calls: list[int] = []

    def counted(**inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        calls.append(len(inputs["past"]))
        return step(**inputs)

    model = GrooveModel(counted, bundle.graph("humaniser", "fp32"), bundle.manifest.config)
    steps = sum(len(bar.masks) for bar in played(model, Controls(), seed=3))
    assert len(calls) < steps / 2
