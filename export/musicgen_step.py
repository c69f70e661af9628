"""MusicGen's decoder written as graphs: `step`, one or several columns with the context in buffers, and `cross`.

The weights are those of transformers' MusicgenForCausalLM and what is said is what that says, with the projections of
attention in one product, the heads of all codebooks in another, and `steer` added to the residual stream after every
layer: where a forward hook on that layer would add it, before the final norm.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Tensor
from engines.musicgen.shape import Shape, step_inputs
from engines.runtime.context import LAST, TOTAL, is_buffer
from export.attention import buffers_out
from export.writer import MICROSOFT, Writer

HEADS_BITS = 8
"""The codebooks' heads have no fewer: they are small, and say what is drawn from."""

Weights = NDArray[np.float32]


def step_outputs(shape: Shape) -> tuple[Tensor, ...]:
    """Of the step's graph."""
    kept = tuple(each for each in step_inputs(shape) if is_buffer(each.name))
    return (Tensor("logits", "float32", (-1, shape.books, shape.vocabulary)), *buffers_out(kept))


def cross_tensors(shape: Shape) -> tuple[Tensor, ...]:
    """Keys and values of the text, as the graph `cross` says them and the step takes them."""
    return tuple(each for each in step_inputs(shape) if each.name.startswith("cross_"))


def write_step(decoder: Any, shape: Shape, path: Path, bits: int = 0, *, steered: bool = True) -> None:
    """bits: of the layers' products, 0 for float; steered: False has no use for the steer, to compare with."""
    trunk, w = decoder.model.decoder, Writer(bits)
    x = _embedded(w, [numbers(each.weight) for each in trunk.embed_tokens], shape)
    steer = w.op("Unsqueeze", "steer", w.weight(np.array([2]))) if steered else ""  # [layers, B, 1, d]
    kept: list[str] = []
    for number, layer in enumerate(trunk.layers):
        x, keys, values = _layer(w, layer, x, number, trunk.config.activation_function)
        kept += [keys, values]
        if steered:
            x = w.op("Add", x, w.op("Gather", steer, w.weight(np.array(number))))
    x = w.op("Gather", x, w.weight(np.array(-1)), axis=1)
    heads = np.concatenate([numbers(head.weight) for head in decoder.lm_heads])
    logits = w.product(_normed(w, x, trunk.layer_norm), heads, HEADS_BITS if bits else 0)
    logits = w.op("Reshape", logits, w.weight(np.array([0, shape.books, shape.vocabulary])))
    w.save(path, step_inputs(shape), step_outputs(shape), [logits, *kept])


def write_cross(decoder: Any, shape: Shape, path: Path, bits: int = 0) -> None:
    """Of what the text says, [B, S, d], the keys and values of every layer, [B, heads, S, size]."""
    w, found = Writer(bits), []
    for layer in decoder.model.decoder.layers:
        for product in (layer.encoder_attn.k_proj, layer.encoder_attn.v_proj):
            flat = w.product("states", numbers(product.weight))
            parts = w.op("Reshape", flat, w.weight(np.array([0, 0, shape.heads, shape.size])))
            found.append(w.op("Transpose", parts, perm=[0, 2, 1, 3]))
    w.save(path, (Tensor("states", "float32", (-1, -1, shape.width)),), cross_tensors(shape), found)


def _embedded(w: Writer, tables: list[Weights], shape: Shape) -> str:
    """[B, T, d]: a column's codes, each by its own table, and its position (MusicgenSinusoidalPositionalEmbedding)."""
    rows = len(tables[0])
    index = w.op("Add", "codes", w.weight(np.arange(shape.books) * rows))
    x = w.op("ReduceSum", w.table(index, np.concatenate(tables)), w.weight(np.array([2])), keepdims=0)
    half = shape.width // 2
    turns = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / (half - 1)))
    at = w.op("Unsqueeze", w.op("Cast", "position", to=1), w.weight(np.array([1])))
    angle = w.op("Mul", at, w.weight(turns[None]))
    return w.op("Add", x, w.op("Concat", w.op("Cos", angle), w.op("Sin", angle), axis=-1))


def _layer(w: Writer, layer: Any, x: str, number: int, activation: str) -> tuple[str, str, str]:
    """x after a MusicgenDecoderLayer, and its buffers."""
    own, text = layer.self_attn, layer.encoder_attn
    joined = np.concatenate([numbers(each.weight) for each in (own.q_proj, own.k_proj, own.v_proj)])
    mixed, keys, values = w.ops(
        "GroupQueryAttention", 3, w.product(_normed(w, x, layer.self_attn_layer_norm), joined), "", "",
        f"key{number}", f"value{number}", LAST, TOTAL, domain=MICROSOFT,
        num_heads=own.num_heads, kv_num_heads=own.num_heads, do_rotary=0,
    )  # fmt: skip
    x = w.op("Add", x, w.product(mixed, numbers(own.out_proj.weight)))
    asked = w.product(_normed(w, x, layer.encoder_attn_layer_norm), numbers(text.q_proj.weight))
    heard = w.op(
        "MultiHeadAttention", asked, f"cross_key{number}", f"cross_value{number}", "", "heard", domain=MICROSOFT,
        num_heads=text.num_heads,
    )  # fmt: skip
    x = w.op("Add", x, w.product(heard, numbers(text.out_proj.weight)))
    inner = w.activation(w.product(_normed(w, x, layer.final_layer_norm), numbers(layer.fc1.weight)), activation)
    return w.op("Add", x, w.product(inner, numbers(layer.fc2.weight))), keys, values


def _normed(w: Writer, x: str, norm: Any) -> str:
    scale, shift = w.weight(numbers(norm.weight)), w.weight(numbers(norm.bias))
    return w.op("LayerNormalization", x, scale, shift, epsilon=norm.eps)


def numbers(tensor: Any) -> Weights:
    """A torch tensor's float32 values."""
    found: Weights = tensor.detach().float().cpu().numpy()
    return found
