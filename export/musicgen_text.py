"""The text encoder written as a graph: T5's (Raffel et al., 2020), and the projection to the decoder's width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Tensor
from engines.errors import SidemanError
from engines.musicgen.shape import Shape
from export.musicgen_step import numbers
from export.writer import MICROSOFT, Writer


def write_text(network: Any, shape: Shape, path: Path, bits: int = 0) -> None:
    """ids int64 [B, S], none of them padding -> states [B, S, d].

    network: a MusicgenForConditionalGeneration. Raises SidemanError for another encoder than T5's.
    """
    encoder = network.text_encoder
    if encoder.config.model_type != "t5":
        raise SidemanError(f"the text encoder is a {encoder.config.model_type}; MusicGen's is a t5")
    stack, w = encoder.encoder, Writer(bits)
    x = w.table("ids", numbers(encoder.get_input_embeddings().weight))
    bias = _bias(w, stack.block[0].layer[0].SelfAttention, shape.tokens_max)
    for block in stack.block:
        own = block.layer[0].SelfAttention
        normed = _scaled(w, x, block.layer[0].layer_norm)
        parts = [w.product(normed, numbers(each.weight)) for each in (own.q, own.k, own.v)]
        mixed = w.op(
            "MultiHeadAttention", *parts, "", "", bias, domain=MICROSOFT, num_heads=own.n_heads, scale=1.0
        )  # fmt: skip
        x = w.op("Add", x, w.product(mixed, numbers(own.o.weight)))
        x = w.op("Add", x, _dense(w, _scaled(w, x, block.layer[1].layer_norm), block.layer[1].DenseReluDense, encoder))
    x = _scaled(w, x, stack.final_layer_norm)
    projection = getattr(network, "enc_to_dec_proj", None)
    if projection is not None:
        x = w.op("Add", w.product(x, numbers(projection.weight)), w.weight(numbers(projection.bias)))
    ids, states = Tensor("ids", "int64", (-1, -1)), Tensor("states", "float32", (-1, -1, shape.width))
    w.save(path, (ids,), (states,), [x])


def _scaled(w: Writer, x: str, norm: Any) -> str:
    """T5LayerNorm: no mean is taken off, nothing is added."""
    square = w.op("ReduceMean", w.op("Mul", x, x), w.weight(np.array([-1])), keepdims=1)
    root = w.op("Sqrt", w.op("Add", square, w.weight(np.array(norm.variance_epsilon, np.float32))))
    return w.op("Mul", w.op("Div", x, root), w.weight(numbers(norm.weight)))


def _dense(w: Writer, x: str, dense: Any, encoder: Any) -> str:
    name = encoder.config.dense_act_fn
    if encoder.config.is_gated_act:
        gate = w.activation(w.product(x, numbers(dense.wi_0.weight)), name)
        inner = w.op("Mul", gate, w.product(x, numbers(dense.wi_1.weight)))
    else:
        inner = w.activation(w.product(x, numbers(dense.wi.weight)), name)
    return w.product(inner, numbers(dense.wo.weight))


def _bias(w: Writer, attention: Any, longest: int) -> str:
    """[1, heads, S, S]: what all layers add by how far two tokens are apart; worked out for `longest` tokens."""
    import torch

    with torch.inference_mode():
        whole = attention.compute_bias(longest, longest)[0].float()  # [heads, longest, longest]
    apart = np.concatenate([whole[:, 1:, 0].flip(1).numpy(), whole[:, 0].numpy()], 1)
    count = w.op("Gather", w.op("Shape", "ids"), w.weight(np.array(1)))
    steps = w.op("Range", w.weight(np.array(0)), count, w.weight(np.array(1)))
    keys = w.op("Unsqueeze", steps, w.weight(np.array([0])))
    asking = w.op("Unsqueeze", steps, w.weight(np.array([1])))
    index = w.op("Add", w.op("Sub", keys, asking), w.weight(np.array(longest - 1)))
    return w.op("Unsqueeze", w.op("Gather", w.weight(apart), index, axis=1), w.weight(np.array([0])))
