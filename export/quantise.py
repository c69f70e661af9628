"""int8: weights of matrix products as bytes, activations quantised as they come (ONNX Runtime, dynamic)."""

from __future__ import annotations

import logging
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from engines.errors import SidemanError

PRODUCTS = ("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM", "QGemm")
"""Operators that multiply in int8."""

WEIGHTS_MIN = 4096
"""A product with fewer weights stays in float: quantising its input costs more than it saves."""

FLOAT_PRODUCTS = ("MatMul", "Gemm", "LSTM", "GRU")


def quantise(fp32: Path, int8: Path) -> Counter[str]:
    """Write the int8 form of an ONNX file; the count of its integer and remaining float products.

    Raises SidemanError if nothing came out quantised, which would pass every other check, only slower.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=int8.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # the quantiser tells the root logger to do what we do here
        try:
            quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
            quantize_dynamic(
                str(prepared),
                str(int8),
                op_types_to_quantize=["MatMul", "LSTM"],  # Gemm is turned into MatMul first
                nodes_to_exclude=_small(onnx.load(str(prepared))),
                weight_type=QuantType.QInt8,
                per_channel=True,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # behind operators of other domains
            )
        finally:
            root.setLevel(level)
    kinds = Counter(node.op_type for node in onnx.load(str(int8)).graph.node)
    products = Counter({kind: kinds[kind] for kind in (*PRODUCTS, *FLOAT_PRODUCTS) if kinds[kind]})
    if not any(products[kind] for kind in PRODUCTS):
        raise SidemanError(f"{fp32.name} has no product that could be made int8; export with --formats onnx")
    return products


def _small(model: Any) -> list[str]:
    """The names of products with few weights, or of two activations, also as a Gemm's that was made a MatMul."""
    sizes = {each.name: math.prod(each.dims) for each in model.graph.initializer if len(each.dims) > 1}
    return [
        name
        for node in model.graph.node
        for name in (node.name, f"{node.name}_MatMul")
        if node.op_type in FLOAT_PRODUCTS and max(sizes.get(name, 0) for name in node.input) < WEIGHTS_MIN
    ]
