"""Metrics of drum models: teacher-forced scores of a piece and their sums.

Everything is computed from the probability of each of the 512 masks at each step, so models with and without a
vocabulary stand in one table. Fair bits charge every mask by that probability: a mask outside a vocabulary costs its
even share of UNK's, 8.6 bits more than UNK itself beside a vocabulary of 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import MASKS, hits
from offline.drums.vocabulary import Vocabulary

SUM_TOLERANCE = 1e-3
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums over the steps of one or more pieces; add them to join pieces.

    bits:         -log2 of the probability of every mask, summed
    nats:         the same of every token, by the vocabulary; 0 without one
    correct:      steps whose likeliest token is the right one; right_steps: whose likeliest mask is
    exact_bars:   bars whose likeliest masks are right at every step
    true, false, missed: hits of the likeliest masks, per instrument int64 [9]
    """

    steps: int
    bars: int
    bits: float
    nats: float
    correct: int
    right_steps: int
    exact_bars: int
    true: NDArray[np.int64]
    false: NDArray[np.int64]
    missed: NDArray[np.int64]

    @classmethod
    def of(
        cls, masks: NDArray[np.uint16], p: NDArray[np.float32], steps_per_bar: int, vocabulary: Vocabulary | None
    ) -> Self:
        """Score a piece.

        masks: uint16 [n] as played; p: [n, 512] probability of each mask given those before it
        Raises ValueError when a row of p is no distribution: its bits would be worth nothing.
        """
        if p.shape != (len(masks), MASKS) or not np.allclose(p.sum(axis=1), 1.0, atol=SUM_TOLERANCE) or (p < 0).any():
            raise ValueError("the model's probabilities of the masks do not sum to 1 at every step")
        n = len(masks)
        played = p[np.arange(n), masks]
        guess = p.argmax(axis=1)
        right = guess == masks
        guessed, real = hits(guess.astype(np.uint16)), hits(masks)
        nats, correct = _token_scores(masks, p, vocabulary) if vocabulary else (0.0, 0)
        return cls(
            n,
            n // steps_per_bar,
            float(-np.log2(np.maximum(played, _TINY)).sum()),
            nats,
            correct,
            int(right.sum()),
            int(right.reshape(-1, steps_per_bar).all(axis=1).sum()),
            (guessed & real).sum(axis=0),
            (guessed & ~real).sum(axis=0),
            (~guessed & real).sum(axis=0),
        )

    def __add__(self, other: Scores) -> Scores:
        return Scores(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def bits_per_bar(self) -> float:
        """Fair bits a bar."""
        return self.bits / self.bars

    @property
    def accuracy(self) -> float:
        """Share of steps whose token was the likeliest: the seed's accuracy."""
        return self.correct / self.steps

    @property
    def perplexity(self) -> float:
        """Of the tokens, UNK among them: the seed's perplexity."""
        return float(np.exp(self.nats / self.steps))

    @property
    def exact(self) -> float:
        """Share of bars right at every step."""
        return self.exact_bars / self.bars

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each instrument's hits [9]; nan where there are none, real or guessed."""
        whole = 2 * self.true + self.false + self.missed
        return np.where(whole > 0, 2 * self.true / np.maximum(whole, 1), np.nan)

    @property
    def f1_micro(self) -> float:
        """F1 of all hits together."""
        return float(2 * self.true.sum() / max(1, (2 * self.true + self.false + self.missed).sum()))

    @property
    def f1_macro(self) -> float:
        """Mean F1 of the instruments that occur."""
        return float(np.nanmean(self.f1)) if np.isfinite(self.f1).any() else 0.0


def total(scores: Sequence[Scores]) -> Scores:
    """The sum of the scores of pieces, at least one."""
    joined = scores[0]
    for one in scores[1:]:
        joined = joined + one
    return joined


def _token_scores(masks: NDArray[np.uint16], p: NDArray[np.float32], vocabulary: Vocabulary) -> tuple[float, int]:
    token_of_mask = vocabulary.token_of_mask()
    tokens = token_of_mask[masks]
    known = list(vocabulary.masks)  # in the order of their tokens, after UNK
    unknown = np.setdiff1d(np.arange(p.shape[1]), known)
    q = np.concatenate([p[:, unknown].sum(axis=1, keepdims=True), p[:, known]], axis=1)
    nats = float(-np.log(np.maximum(q[np.arange(len(tokens)), tokens], _TINY)).sum())
    return nats, int((q.argmax(axis=1) == tokens).sum())
