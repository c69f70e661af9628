"""torch modules to TorchScript files, for sets that ask for them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def from_torch(module: Any, example: Sequence[Any], path: Path) -> None:
    """Trace a module whose forward takes the manifest's inputs in order and returns a tuple of tensors.

    example: its inputs; the traced module takes any batch.
    """
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, not gone
        traced = torch.jit.freeze(torch.jit.trace(module.eval(), tuple(example)))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path))
