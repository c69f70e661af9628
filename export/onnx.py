"""Networks to ONNX files: one file, named tensors, a free batch dimension."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.bundle import Tensor

OPSET = 18
IR_VERSION_MAX = 10
"""Old enough for every onnxruntime that Sideman runs on (docs/MODELS.md, How a checkpoint becomes a bundle)."""


def from_keras(model: Any, outputs: Sequence[Tensor], path: Path) -> None:
    """Write a functional Keras model; its inputs keep their names, its outputs get those of `outputs`, in order."""
    import keras

    signature = [keras.InputSpec(shape=each.shape, dtype=each.dtype, name=each.name) for each in model.inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter still asks numpy for names it has dropped
        model.export(path, format="onnx", input_signature=[signature], opset_version=OPSET, verbose=False)
    _finish(path, outputs)


def from_torch(
    module: Any,
    example: Sequence[Any],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    path: Path,
    *,
    rest: int = 0,
) -> None:
    """Write a torch module; example: its inputs, with sizes of at least 2 where the tensors' are free.

    rest: inputs at the end that the module takes as one *argument
    """
    import torch

    free = torch.export.Dim.DYNAMIC
    shapes: tuple[Any, ...] = tuple({i: free for i, n in enumerate(each.shape) if n == -1} or None for each in inputs)
    if rest:
        shapes = (*shapes[:-rest], shapes[-rest:])
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns about operators of packages that are not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates parts of itself that its exporter still uses
        torch.onnx.export(
            module.eval(),
            tuple(example),
            str(path),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in inputs],
            output_names=[tensor.name for tensor in outputs],
            dynamic_shapes=shapes,
            verbose=False,
        )
    logger.setLevel(level)
    _finish(path, outputs)


def _finish(path: Path, outputs: Sequence[Tensor]) -> None:
    """Name the outputs, drop what only a reader of the training code would want, and check the file."""
    import onnx

    model = onnx.load(str(path))
    names = {old.name: new.name for old, new in zip(model.graph.output, outputs, strict=True)}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.doc_string = ""
        del node.metadata_props[:]
    for value in model.graph.output:
        value.name = names[value.name]
    del model.graph.value_info[:]
    model.ir_version = min(model.ir_version, IR_VERSION_MAX)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
