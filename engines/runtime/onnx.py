"""ONNX Runtime, on one thread unless asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError
from engines.runtime.buffers import Arrays, Buffers


class OnnxGraph:
    """An ONNX file, opened for the CPU with one intra-op thread: bars must not fight each other for cores."""

    def __init__(self, path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...], threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common root of their own
            raise BundleError(f"{path.name} cannot be opened by ONNX Runtime: {_first_line(error)}") from error
        have_in = {node.name for node in self._session.get_inputs()}
        have_out = {node.name for node in self._session.get_outputs()}
        missing = [name for name in (*inputs, *outputs) if name not in have_in | have_out]
        if missing or have_in - set(inputs):
            named = ", ".join(missing or sorted(have_in - set(inputs)))
            raise BundleError(f"{path.name} and its manifest disagree about the tensor {named}; export it again")
        self._outputs = list(outputs)

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once; see engines.runtime.Graph."""
        return tuple(self._session.run(self._outputs, inputs))

    def bound(self, buffers: Mapping[str, NDArray[np.float32]], out: str) -> BoundGraph:
        """This graph with each of `buffers` as an input, and as the output of its name and `out`: written in place."""
        return BoundGraph(self._session, [name for name in self._outputs if name.removesuffix(out) not in buffers],
                          buffers, out)  # fmt: skip


class BoundGraph:
    """A session whose buffers are bound once; see engines.runtime.context."""

    def __init__(self, session: Any, outputs: list[str], buffers: Mapping[str, NDArray[np.float32]], out: str) -> None:
        import onnxruntime as ort

        self._session, self._binding = session, session.io_binding()
        self.kept: Buffers = Arrays(buffers)  # the binding alone would not keep their memory
        self._value = ort.OrtValue.ortvalue_from_numpy  # on the CPU it holds the array's own memory
        for name, array in buffers.items():
            value = self._value(array)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(name + out, value)
        rows = next(iter(buffers.values())).shape[0]
        shapes = {node.name: node.shape for node in session.get_outputs()}
        self._said = []
        for name in outputs:
            array = np.zeros([size if isinstance(size, int) else rows for size in shapes[name]], np.float32)
            self._said.append(array)
            self._binding.bind_ortvalue_output(name, self._value(array))
        self._heard: dict[str, NDArray[Any]] = {}

    def fix(self, **inputs: NDArray[Any]) -> None:
        """Bind inputs that stay as they are from run to run: they are not copied, and not given to the calls."""
        for name, array in inputs.items():
            self._heard[name] = np.ascontiguousarray(array)
            self._binding.bind_ortvalue_input(name, self._value(self._heard[name]))

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once on the inputs that are no buffers; float32 outputs, of one row for each of the buffers'."""
        for name, array in inputs.items():
            bound = self._heard.get(name)
            if bound is not None and bound.shape == array.shape and bound.dtype == array.dtype:
                np.copyto(bound, array)
            else:
                self._heard[name] = np.array(array, order="C")
                self._binding.bind_ortvalue_input(name, self._value(self._heard[name]))
        self._session.run_with_iobinding(self._binding)
        return tuple(array.copy() for array in self._said)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
