"""TorchScript, for sets that ask for it; needs torch, and loading a file runs the code in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError, SidemanError
from engines.runtime.buffers import ALL, Buffers

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where a graph runs; auto is CUDA, else Apple's MPS, else the CPU."""

CPU_ALONE = "Device = prim::Constant"
"""In the code of a file that was traced to make tensors on the device that it was traced on."""


class TorchScriptGraph:
    """A TorchScript file whose forward takes the inputs in the manifest's order and returns a tuple of tensors.

    A graph that keeps its context writes into its buffers, or returns them anew behind its other outputs.
    """

    def __init__(self, path: Path, inputs: tuple[str, ...], device: str = "cpu", *, half: bool | None = None) -> None:
        """device: of DEVICES; half: weights and buffers are bfloat16, None: on CUDA. What comes out is float32.

        Raises BundleError for a file that cannot be run there, SidemanError without torch or the device.
        """
        torch = _torch()
        torch.set_num_threads(1)
        self.device = device_here(device)
        self.half = self.device == "cuda" if half is None else half
        self._torch = torch
        self._inputs = inputs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, not gone
            try:
                self._module = torch.jit.load(str(path), map_location=self.device).eval()
            except (RuntimeError, ValueError) as error:
                raise BundleError(f"{path.name} is not a TorchScript file torch can load") from error
        if self.device != "cpu" and CPU_ALONE in str(self._module.inlined_graph):
            raise BundleError(f'{path.name} was exported for the CPU alone: export it again, or use device = "cpu"')
        if self.half:
            self._module = self._module.to(torch.bfloat16)

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once; see engines.runtime.Graph."""
        return tuple(map(self.array, self.run({name: self.tensor(inputs[name]) for name in self._inputs})))

    def run(self, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The same from tensors to tensors, where they are.

        Unoptimised: a code that is fused after some runs would round otherwise from then on, and take time to be made.
        """
        with self._torch.inference_mode(), self._torch.jit.optimized_execution(False):
            return tuple(self._module(*(inputs[name] for name in self._inputs)))

    def tensor(self, array: NDArray[Any]) -> Any:
        """An array where the graph runs; on the CPU in float32 that is its own memory."""
        tensor = self._torch.from_numpy(np.ascontiguousarray(array))
        half = self.half and tensor.is_floating_point()
        return tensor.to(self.device, self._torch.bfloat16 if half else tensor.dtype)

    def array(self, tensor: Any) -> NDArray[Any]:
        """A tensor as an array, bfloat16 as float32; on the CPU otherwise its own memory."""
        found: NDArray[Any] = (tensor.float() if tensor.dtype == self._torch.bfloat16 else tensor).cpu().numpy()
        return found

    def bound(self, buffers: Mapping[str, NDArray[np.float32]]) -> BoundScript:
        """This graph with its buffers where it runs."""
        return BoundScript(self, buffers)


class BoundScript:
    """A graph whose buffers and fixed inputs stay where it runs; see engines.runtime.context."""

    def __init__(self, graph: TorchScriptGraph, buffers: Mapping[str, NDArray[np.float32]]) -> None:
        self._graph = graph
        self._buffers = {name: graph.tensor(array) for name, array in buffers.items()}
        self._fixed: dict[str, Any] = {}
        self.kept: Buffers = Tensors(graph, self._buffers)

    def fix(self, **inputs: NDArray[Any]) -> None:
        """See engines.runtime.context.BufferedGraph."""
        self._fixed |= {name: self._graph.tensor(array) for name, array in inputs.items()}

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See engines.runtime.context.BufferedGraph."""
        new = {name: self._graph.tensor(array) for name, array in inputs.items()}
        said = self._graph.run({**self._fixed, **self._buffers, **new})
        first = len(said) - len(self._buffers)
        self._buffers.update(zip(self._buffers, said[first:], strict=True))
        return tuple(map(self._graph.array, said[:first]))


class Tensors:
    """Buffers of torch."""

    def __init__(self, graph: TorchScriptGraph, buffers: dict[str, Any]) -> None:
        """buffers: what the graph's runs put in place of a tensor is found here."""
        self._graph, self._buffers = graph, buffers
        self._torch = _torch()

    def read(self, first: int, end: int, rows: Sequence[int] | slice = ALL) -> tuple[NDArray[np.float32], ...]:
        """See Buffers."""
        with self._torch.inference_mode():
            return tuple(self._graph.array(each[rows, :, first:end].clone()) for each in self._buffers.values())

    def write(self, first: int, arrays: Iterable[NDArray[np.float32]], rows: slice = ALL) -> None:
        """See Buffers."""
        with self._torch.inference_mode():
            for buffer, array in zip(self._buffers.values(), arrays, strict=True):
                buffer[rows, :, first : first + array.shape[2]].copy_(self._graph.tensor(array))

    def move(self, first: int, end: int, to: int) -> None:
        """See Buffers."""
        with self._torch.inference_mode():
            for buffer in self._buffers.values():
                buffer[:, :, to : to + end - first].copy_(buffer[:, :, first:end].clone())


def device_here(wanted: str = "auto") -> str:
    """The device that is meant: cpu, cuda or mps. Raises SidemanError for one that is not here, or without torch."""
    torch = _torch()
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, here in there.items() if here)
    if wanted not in there:
        raise SidemanError(f"there is no device {wanted}; there are {', '.join(DEVICES)}")
    if not there[wanted]:
        raise SidemanError(f"torch finds no {wanted.upper()} device here: use the device cpu, or auto")
    return wanted


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise SidemanError('TorchScript needs torch: pip install "sideman[train]", or use onnx') from error
    return torch
