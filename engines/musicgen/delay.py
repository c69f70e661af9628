"""The delay pattern: codebook k of a frame is written so many columns later (Copet et al., "Simple and Controllable
Music Generation", 2023, figure 1).

Column 0 is nothing but padding. Column c holds, for a codebook with delay D, frame c - 1 - D: padding before the first
frame and behind the last. What the decoder says at column c are column c + 1's codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
"""[books, frames], or [rows, books, frames]."""


def delays_of(books: int, channels: int = 1) -> tuple[int, ...]:
    """A delay for each codebook: 0, 1, 2, ...; of two channels, which alternate, each pair has one."""
    return tuple(book // channels for book in range(books))


@dataclass(frozen=True, slots=True)
class Delay:
    """A pattern of any number of codebooks. pad: the code that says nothing."""

    delays: tuple[int, ...]
    pad: int

    @property
    def longest(self) -> int:
        """Columns that a whole frame takes beyond its first code."""
        return max(self.delays)

    def columns(self, frames: int) -> int:
        """Columns that hold so many whole frames, the first of padding with them."""
        return 1 + frames + self.longest

    def laid(self, codes: Codes, columns: int | None = None) -> Codes:
        """Frames [..., books, n] as columns [..., books, columns]; columns: as many as hold them, or the first so many.

        Columns whose frames are not known, being behind the last, hold padding.
        """
        count = codes.shape[-1]
        wanted = self.columns(count) if columns is None else columns
        laid = np.full((*codes.shape[:-1], wanted), self.pad, np.int64)
        for book, delay in enumerate(self.delays):
            begin, fits = 1 + delay, max(0, min(count, wanted - 1 - delay))
            laid[..., book, begin : begin + fits] = codes[..., book, :fits]
        return laid

    def gathered(self, laid: Codes) -> Codes:
        """The whole frames [..., books, n] of columns [..., books, columns]."""
        count = max(0, laid.shape[-1] - 1 - self.longest)
        return np.stack(
            [laid[..., book, 1 + delay : 1 + delay + count] for book, delay in enumerate(self.delays)], axis=-2
        )

    def open(self, column: int, frames: int | None = None) -> NDArray[np.bool_]:
        """[books]: which codes of a column are a frame's, of `frames` in all (None: it goes on for ever)."""
        at = column - 1 - np.array(self.delays)
        inside: NDArray[np.bool_] = (at >= 0) & (at < (np.inf if frames is None else frames))
        return inside
