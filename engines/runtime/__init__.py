"""Runtimes: a model's graphs as functions from arrays to arrays, on one thread each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines.errors import BundleError

if TYPE_CHECKING:  # a bundle is verified, and listed, without numpy
    from numpy.typing import NDArray


class Graph(Protocol):
    """A graph with named inputs and ordered outputs; explicit state goes in and comes out."""

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once. Inputs by name, outputs in the order of the manifest."""
        ...


def open_graph(
    path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...], threads: int = 1, device: str = "cpu"
) -> Graph:
    """Open a graph file by its ending: .onnx, or .ts (TorchScript, whose loading runs its code).

    inputs, outputs: names in the order of the manifest; threads: of ONNX Runtime
    device: of TorchScript, "auto" or another of torchscript.DEVICES; ONNX Runtime runs on the CPU
    Raises BundleError if the file cannot be run, SidemanError without torch or the device.
    """
    if path.suffix == ".onnx":
        from engines.runtime.onnx import OnnxGraph

        return OnnxGraph(path, inputs, outputs, threads)
    if path.suffix == ".ts":
        from engines.runtime.torchscript import TorchScriptGraph

        return TorchScriptGraph(path, inputs, device)
    raise BundleError(f"{path.name} is no graph this version can run; it runs .onnx and .ts")
