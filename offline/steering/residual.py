"""The residual stream: read and added to at one and the same point, after each decoder layer, before the final norm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Seen = Callable[[int, "torch.Tensor"], "torch.Tensor | None"]
"""(layer, hidden [batch, time, d]) -> what takes its place, or None where it is only read."""


@contextmanager
def watched(layers: Iterable[Any], seen: Seen) -> Iterator[None]:
    """While it lasts, what each layer hands on goes through `seen` first, whether it comes alone or in a tuple."""

    def hook(number: int) -> Callable[[Any, Any, Any], Any]:
        def after(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            other = seen(number, hidden)
            if other is None:
                return None
            return (other, *output[1:]) if isinstance(output, tuple) else other

        return after

    handles = [layer.register_forward_hook(hook(number)) for number, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def steered(layers: Iterable[Any], steer: torch.Tensor) -> Iterator[None]:
    """While it lasts, steer [layers, batch, d] is added after each layer, the same at every position."""
    with watched(layers, lambda number, hidden: hidden + steer[number][:, None, :].to(hidden)):
        yield
