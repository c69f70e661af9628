"""torch modules to TorchScript files, for sets that ask for them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def from_torch(module: Any, example: Sequence[Any], path: Path, *, frozen: bool = True) -> None:
    """Trace a module whose forward takes the manifest's inputs in order and returns a tensor or a tuple of them.

    example: its inputs; the traced module takes any batch
    frozen: the weights are constants of the code. Those that are not can be made bfloat16 when the file is loaded.
    """
    import torch

    class Whole(torch.nn.Module):
        """The module with a tuple for an answer, even of one tensor."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module.eval()

        def forward(self, *inputs: Any) -> Any:
            said = self.module(*inputs)
            return said if isinstance(said, tuple) else (said,)

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, not gone
        traced: Any = torch.jit.trace(Whole().eval(), tuple(example))  # type: ignore[no-untyped-call]
        traced = torch.jit.freeze(traced) if frozen else traced
        torch.jit.save(traced, str(path))
