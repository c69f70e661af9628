"""Context: what an attention graph has heard, as keys and values in buffers of a fixed size.

A graph that keeps its context (export/attention.py) has inputs `key0`, `value0`, `key1`, ... of shape
[B, key_heads, W, size], outputs of the same names with `_out` behind, and inputs `last` and `total` that say how full
they are. In ONNX Runtime and TorchScript input and output are one piece of memory, written in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.runtime import Graph
from engines.runtime.buffers import ALL, Arrays, Buffers

if TYPE_CHECKING:
    from engines.bundle import Tensor

OUT = "_out"
LAST, TOTAL = "last", "total"
KEPT = ("key", "value")


@dataclass(frozen=True, slots=True)
class Held:
    """A context put aside: a state that nothing changes. arrays: of each buffer, [B, key_heads, length, size]."""

    length: int
    arrays: tuple[NDArray[np.float32], ...]


class Context:
    """The buffers of one graph, and how much of them is full."""

    def __init__(self, graph: Graph, inputs: Iterable[Tensor], rows: int = 1) -> None:
        """inputs: the graph's, as in the manifest; rows: B."""
        shapes = {each.name: (rows, *each.shape[1:]) for each in inputs if is_buffer(each.name)}
        self.names = tuple(shapes)
        _, _, self.window, self.size = next(iter(shapes.values()))
        self.length = 0
        self._rows = rows
        self._graph = bound(graph, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})

    def fix(self, **inputs: NDArray[Any]) -> None:
        """Inputs that stay as they are until they are fixed anew: they are not copied, and not given to hear."""
        self._graph.fix(**inputs)

    def hear(self, count: int, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run the graph on `count` new positions, which must fit; its outputs but for the buffers."""
        if self.length + count > self.window:
            raise ValueError(f"{count} positions do not fit after {self.length} of {self.window}")
        total = self.length + count
        said = self._graph(
            **inputs, **{LAST: np.full(self._rows, total - 1, np.int32), TOTAL: np.array(total, np.int32)}
        )
        self.length = total
        return said

    def drop(self, first: int, count: int) -> None:
        """Forget `count` positions from `first` on; what comes after moves up, in a fraction of a millisecond."""
        self._graph.kept.move(first + count, self.length, first)
        self.length -= count

    def read(self, first: int, end: int, rows: Sequence[int] | slice = ALL) -> tuple[NDArray[np.float32], ...]:
        """A copy of positions from `first` up to `end` of each buffer, in the order of `names`."""
        return self._graph.kept.read(first, end, rows)

    def write(self, first: int, arrays: Iterable[NDArray[np.float32]], rows: slice = ALL) -> None:
        """Put such arrays back, from position `first` on; `length` stays as it is."""
        self._graph.kept.write(first, arrays, rows)

    def held(self) -> Held:
        """A copy of what is heard so far."""
        return Held(self.length, self.read(0, self.length))

    def take(self, held: Held) -> None:
        """Go on from there."""
        self.length = held.length
        self.write(0, held.arrays)


def is_buffer(name: str) -> bool:
    """Whether a graph's input is one of its buffers."""
    return name not in KEPT and name.rstrip("0123456789") in KEPT


class BufferedGraph(Protocol):
    """A graph with its buffers in place, which are `kept`."""

    kept: Buffers

    def fix(self, **inputs: NDArray[Any]) -> None:
        """Give inputs that stay as they are from call to call."""
        ...

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once on the other inputs; the outputs but for the buffers."""
        ...


class CopiedGraph:
    """A graph that may not write in place (a module): its buffers come back, last, and are copied."""

    def __init__(self, graph: Graph, buffers: Mapping[str, NDArray[np.float32]]) -> None:
        self._graph, self._buffers = graph, buffers
        self.kept: Buffers = Arrays(buffers)
        self._fixed: dict[str, NDArray[Any]] = {}

    def fix(self, **inputs: NDArray[Any]) -> None:
        """See BufferedGraph."""
        self._fixed.update(inputs)

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See BufferedGraph."""
        said = self._graph(**inputs, **self._fixed, **self._buffers)
        first = len(said) - len(self._buffers)
        for buffer, new in zip(self._buffers.values(), said[first:], strict=True):
            buffer[...] = new
        return said[:first]


def bound(graph: Graph, buffers: Mapping[str, NDArray[np.float32]]) -> BufferedGraph:
    """The graph with its buffers in place: it takes the other inputs and returns the other outputs."""
    from engines.runtime.onnx import OnnxGraph
    from engines.runtime.torchscript import TorchScriptGraph

    if isinstance(graph, OnnxGraph):
        return graph.bound(buffers, OUT)
    return graph.bound(buffers) if isinstance(graph, TorchScriptGraph) else CopiedGraph(graph, buffers)
