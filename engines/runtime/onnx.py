"""ONNX Runtime on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from engines.errors import BundleError


class OnnxGraph:
    """An ONNX file, opened for the CPU with one intra-op thread: bars must not fight each other for cores."""

    def __init__(self, path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
