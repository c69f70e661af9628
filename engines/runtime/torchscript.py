"""TorchScript, for sets that ask for it; needs torch, and loading a file runs the code in it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError, SidemanError


class TorchScriptGraph:
    """A TorchScript file whose forward takes the inputs in the manifest's order and returns a tuple of tensors."""

    def __init__(self, path: Path, inputs: tuple[str, ...]) -> None:
        try:
            import torch
        except ImportError as error:
            raise SidemanError('TorchScript needs torch: pip install "sideman[train]", or use onnx') from error
        torch.set_num_threads(1)
        self._torch = torch
        self._inputs = inputs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, not gone
            try:
                self._module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            except (RuntimeError, ValueError) as error:
                raise BundleError(f"{path.name} is not a TorchScript file torch can load") from error

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once; see engines.runtime.Graph."""
        with self._torch.inference_mode():
            tensors = [self._torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self._inputs]
            results = self._module(*tensors)
        return tuple(result.numpy() for result in results)
