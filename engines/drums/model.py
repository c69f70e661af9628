"""DrumModel: what the drum engine, and its evaluation, ask of a model of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import Bar, History
from engines.music import Meter

Carry = Any
"""A model's recurrent state; None for a model that looks at the history alone."""

ANY_STYLE = "any"


@dataclass(frozen=True, slots=True)
class Controls:
    """What a bar is conditioned on and how it is sampled.

    style:       one of the model's styles, or "any"
    fill:        True a fill, False a beat, None unknown
    density:     0..1, a quantile of the training data's hits per step; None leaves it to the model
    bpm:         quarter notes a minute; feel is partly a matter of milliseconds; None unknown
    temperature: of what is new; 0 takes the likeliest
    variation:   bias in nats on the choice of something new over a copy of the past, -4..4
    top_k, top_p: cuts of what is new; 0 and 1 are off
    allowed:     bool [steps of the bar, 512], the masks that each step may be, at least one each; None: all
    """

    style: str = ANY_STYLE
    fill: bool | None = None
    density: float | None = None
    bpm: float | None = None
    temperature: float = 1.0
    variation: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    allowed: NDArray[np.bool_] | None = None


class DrumModel(Protocol):
    """A model of drum bars over the history of a song. Nothing passed in is mutated."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles it was trained on, without "any"."""
        ...

    def prime(self, history: History, controls: Controls) -> Carry:
        """The recurrent state after a history."""
        ...

    def bar(
        self, history: History, carry: Carry, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, Carry]:
        """The next bar in `meter`, sampled."""
        ...

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        """Probability of each of the 512 masks at each step of a piece, teacher-forced: [sum of steps, 512].

        A model with a vocabulary spreads its unknown token's probability evenly over the masks it has no token for.
        """
        ...
