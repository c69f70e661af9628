"""n-grams: what a trained model of notes has to beat, over any vocabulary.

Interpolated modified Kneser-Ney (Chen and Goodman 1999, "An empirical study of smoothing techniques for language
modeling"): the best of the smoothed n-grams, so that to beat it says something. Fitting is counting: the same data
always give the same model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError

BEGIN = 0
"""The token that stands before the beginning; no vocabulary's own."""

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Level:
    """Counts of the n-grams of one length.

    gram, count: [G] the n-grams, sorted, and how often; discounts: [4] of a count of 0, 1, 2, and more
    context, total, saved: [C] their first n - 1 tokens, sorted, the sum of the counts after each, and what discounting
    takes of that sum
    """

    gram: Keys
    count: NDArray[np.int64]
    context: Keys
    total: NDArray[np.float64]
    saved: NDArray[np.float64]
    discounts: NDArray[np.float64]

    @classmethod
    def of(cls, gram: Keys, count: NDArray[np.int64], bits: int) -> Self:
        discounts = _discounts(count)
        context, start = np.unique(gram >> bits, return_index=True)
        total = np.add.reduceat(count, start).astype(np.float64)
        saved = np.add.reduceat(discounts[np.minimum(count, 3)], start)
        return cls(gram, count, context, total, saved, discounts)

    def refine(self, p: NDArray[np.float64], gram: Keys, bits: int) -> NDArray[np.float64]:
        """The probability of each n-gram's last token after the others, from that after one token less."""
        counted, seen = _find(self.gram, gram)
        count = np.where(seen, self.count[counted], 0)
        row, known = _find(self.context, gram >> bits)
        refined = (count - self.discounts[np.minimum(count, 3)] + self.saved[row] * p) / self.total[row]
        found: NDArray[np.float64] = np.where(known, refined, p)
        return found


class NGram:
    """The probability of a token from the `order` - 1 before it; order 1 looks at none."""

    def __init__(self, order: int, size: int) -> None:
        """size: tokens are 1 to size - 1. Raises SidemanError where `order` of them do not fit 62 bits."""
        self._bits = max(1, (size - 1).bit_length())
        if order * self._bits > 62:
            raise SidemanError(f"an n-gram of {order} of {size} tokens does not fit; take a lower order")
        self.order, self.size = order, size
        self._levels: list[_Level] = []

    def fit(self, streams: Iterable[NDArray[np.integer]]) -> Self:
        """Count. streams: tokens of each piece. Returns self."""
        gram, count = np.unique(self._grams(streams, self.order), return_counts=True)
        levels = [_Level.of(gram, count, self._bits)]
        for length in range(self.order - 1, 0, -1):
            gram, count = np.unique(gram & ((1 << length * self._bits) - 1), return_counts=True)
            levels.append(_Level.of(gram, count, self._bits))
        self._levels = levels[::-1]
        return self

    def bits(self, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
        """-log2 of the probability of each token of a piece [T]."""
        whole = self._grams([tokens], self.order)
        p = np.full(len(tokens), 1.0 / (self.size - 1))
        for length, level in enumerate(self._levels, 1):
            p = level.refine(p, whole & ((1 << length * self._bits) - 1), self._bits)
        bits: NDArray[np.float64] = -np.log2(p)
        return bits

    def _grams(self, streams: Iterable[NDArray[np.integer]], length: int) -> Keys:
        """The n-gram that ends at each token of every stream."""
        pad = np.full(length - 1, BEGIN, np.int64)
        parts = [part for stream in streams for part in (pad, stream.astype(np.int64))]
        joined = np.concatenate([*parts, pad[:0]])
        key = joined.copy()
        for back in range(1, length):
            key[back:] += joined[:-back] << (back * self._bits)
        whole: Keys = key[joined != BEGIN]
        return whole


def _find(table: Keys, wanted: Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted key lies in a sorted table (anywhere, if it does not), and whether it does."""
    row = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return row, table[row] == wanted


def _discounts(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of a count of 0, 1, 2, and 3 or more, from how many n-grams there are of each (Chen and Goodman, section 3.1)."""
    n1, n2, n3, n4 = (float((count == c).sum()) for c in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 0.5, 0.5])  # too little data to tell
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    clipped: NDArray[np.float64] = np.clip(found, 0.0, [0.0, 0.95, 1.95, 2.95])
    return clipped
