"""Writing an ONNX graph by hand, operator by operator, from weights that are there.

Nothing is traced: a model is written as fast as its weights can be copied, each product in the form that is asked for,
with the fused operators of com.microsoft where ONNX Runtime has them. What is written is held against the network
itself before it becomes a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Tensor
from export.nbits import BLOCKS, block_of, packed, rounded
from export.onnx import IR_VERSION_MAX, OPSET

MICROSOFT = "com.microsoft"
ACTIVATIONS_INT8 = 4
"""MatMulNBits' accuracy level: activations are rounded to int8 as they come."""

LARGEST = 1_900_000_000
"""Bytes of weights above which they lie in a file beside the graph: NAME.data."""

Array = NDArray[Any]


class Writer:
    """A graph in the making. Values are names; bits: of the products' weights, 0 for float."""

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits
        self._nodes: list[Any] = []
        self._weights: dict[str, Array] = {}

    def weight(self, array: Array) -> str:
        """A constant."""
        name = f"w{len(self._weights)}"
        self._weights[name] = np.array(array, order="C")  # (ascontiguousarray makes lists of single numbers)
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """An operator of one output; "" is an input that is left out."""
        return self.ops(kind, 1, *inputs, domain=domain, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        """An operator of several outputs."""
        from onnx import helper

        number = len(self._nodes)
        outputs = [f"v{number}_{i}" for i in range(count)]
        self._nodes.append(
            helper.make_node(kind, list(inputs), outputs, name=f"{kind}{number}", domain=domain, **attributes)
        )
        return outputs

    def product(self, x: str, weight: Array, bits: int | None = None) -> str:
        """x [..., K] times a weight float32 [N, K], in the writer's form, or one of so many bits.

        A width that no block divides stays in float.
        """
        bits = self.bits if bits is None else bits
        rows, columns = weight.shape
        block = block_of(columns, BLOCKS[bits]) if bits else 0
        if not block:
            return self.op("MatMul", x, self.weight(weight.T))
        numbers, scales = rounded(weight, bits, block)
        return self.op(
            "MatMulNBits", x, self.weight(packed(numbers, bits)), self.weight(scales.reshape(-1)), domain=MICROSOFT,
            K=columns, N=rows, bits=bits, block_size=block, accuracy_level=ACTIVATIONS_INT8,
        )  # fmt: skip

    def table(self, index: str, table: Array) -> str:
        """Rows of a table float32 [n, d]; where products have few bits it is kept in float16."""
        if not self.bits:
            return self.op("Gather", self.weight(table), index)
        return self.op("Cast", self.op("Gather", self.weight(table.astype(np.float16)), index), to=1)

    def activation(self, x: str, name: str) -> str:
        """gelu, gelu_new or relu; Raises SidemanError for another."""
        from engines.errors import SidemanError

        if name == "relu":
            return self.op("Relu", x)
        if name == "gelu":
            return self.op("Gelu", x, domain=MICROSOFT)
        if name == "gelu_new":
            return self.op("FastGelu", x, domain=MICROSOFT)
        raise SidemanError(f"the model's activation is {name}; gelu, gelu_new and relu can be exported")

    def save(self, path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor], values: Sequence[str]) -> None:
        """Write the graph; values: what its outputs are, in order."""
        import onnx
        from onnx import helper, numpy_helper

        names = dict(zip(values, (each.name for each in outputs), strict=True))
        for node in self._nodes:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        graph = helper.make_graph(
            self._nodes, path.stem,
            [_info(each) for each in inputs], [_info(each) for each in outputs],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION_MAX)
        if sum(array.nbytes for array in self._weights.values()) > LARGEST:
            onnx.save(model, str(path), save_as_external_data=True, location=f"{path.name}.data")
        else:
            onnx.checker.check_model(model)
            onnx.save(model, str(path))


def _info(tensor: Tensor) -> Any:
    from onnx import TensorProto, helper

    kind = getattr(TensorProto, {"float32": "FLOAT", "int64": "INT64", "int32": "INT32"}[tensor.dtype])
    return helper.make_tensor_value_info(
        tensor.name, kind, [f"{tensor.name}_{i}" if n == -1 else n for i, n in enumerate(tensor.shape)]
    )
