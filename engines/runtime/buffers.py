"""Buffers: what a graph keeps of its context, in numpy's memory or where the graph runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

ALL = slice(None)


class Buffers(Protocol):
    """Arrays [B, key_heads, W, size] in a fixed order; what is read is a copy, in float32."""

    def read(self, first: int, end: int, rows: Sequence[int] | slice = ALL) -> tuple[NDArray[np.float32], ...]:
        """Positions from `first` up to `end` of each buffer."""
        ...

    def write(self, first: int, arrays: Iterable[NDArray[np.float32]], rows: slice = ALL) -> None:
        """Put an array into each buffer, from position `first` on; one row stands for all."""
        ...

    def move(self, first: int, end: int, to: int) -> None:
        """Copy positions from `first` up to `end` to `to`, which lies before them."""
        ...


class Arrays:
    """Buffers of numpy."""

    def __init__(self, buffers: Mapping[str, NDArray[np.float32]]) -> None:
        self._buffers = buffers

    def read(self, first: int, end: int, rows: Sequence[int] | slice = ALL) -> tuple[NDArray[np.float32], ...]:
        """See Buffers."""
        return tuple(buffer[rows, :, first:end].copy() for buffer in self._buffers.values())

    def write(self, first: int, arrays: Iterable[NDArray[np.float32]], rows: slice = ALL) -> None:
        """See Buffers."""
        for buffer, array in zip(self._buffers.values(), arrays, strict=True):
            buffer[rows, :, first : first + array.shape[2]] = array

    def move(self, first: int, end: int, to: int) -> None:
        """See Buffers."""
        for buffer in self._buffers.values():
            buffer[:, :, to : to + end - first] = buffer[:, :, first:end]
