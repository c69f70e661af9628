"""Attention over a context that is kept: what a step graph says of past and new is held in buffers of a fixed size.

A layer's keys and values lie in two buffers [B, key_heads, W, size], inputs and outputs of the graph under the names
NAME and NAME_out. ONNX Runtime's GroupQueryAttention writes the new positions into them where both are bound to one
piece of memory (engines.runtime.context): nothing is concatenated or copied, and a step costs what is in the context,
not what would fit. Queries and keys come turned already (rotary positions are the network's affair: the operator would
turn all heads alike, by a counter), so that the order of the buffer says nothing and old positions can be dropped from
anywhere in it.

Measured on one thread of an EPYC (AVX-512 VNNI) that others kept busy, heads of 32 on two of keys, vocabulary 1,430: ms
of CPU a step with 100, 600 and 1,000 positions in the context; error of the logits of random weights against their
spread:

    width 256, 6 layers, 8 heads             ms                    error    MB
    fp32                                     1.27   1.47   1.65    0        18.3
    int8 products (MatMulInteger, dynamic)    .48    .79   1.26    2.4 %     6.1
    MatMulNBits, 8 bits by 32, int8 inputs    .43   1.02   1.17    1.7 %     6.4
    MatMulNBits, 8 bits by 64, int8 inputs    .40    .82   1.11    1.8 %     6.1
    MatMulNBits, 8 bits by 32, float inputs    17     15     11    1.4 %     6.4
    width 192, 4 layers, 6 heads
    fp32                                      .39    .67    .88    0         7.5
    int8 products (MatMulInteger, dynamic)    .23    .41    .54    1.6 %     3.0
    MatMulNBits, 8 bits by 64, int8 inputs    .21    .38    .47    1.2 %     2.9

MatMulNBits is a tenth quicker and a little nearer; dynamic products are standard ONNX, which any runtime has, and near
enough (a trained network's distributions differ by 4e-5 nats), so they are what export.quantise writes. Several
positions in one run (a heard phrase, a context that is primed) cost .1 ms each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.bundle import Tensor

if TYPE_CHECKING:
    import torch

    Kept = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    """A layer's keys and values [B, key_heads, W, size]; last int32 [B] and total int32 []: positions in the context
    after this run, the new ones the last of them; `last` is one less, for each row."""

LAST, TOTAL = Tensor("last", "int32", (-1,)), Tensor("total", "int32", ())
"""The two inputs that say how full the buffers are."""


def buffers(layers: int, key_heads: int, window: int, size: int) -> tuple[Tensor, ...]:
    """A graph's buffers, as inputs: key0, value0, key1, ... of `window` positions."""
    return tuple(
        Tensor(f"{name}{layer}", "float32", (-1, key_heads, window, size))
        for layer in range(layers)
        for name in ("key", "value")
    )


def buffers_out(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same buffers as outputs."""
    return tuple(Tensor(f"{each.name}_out", each.dtype, each.shape) for each in inputs)


def onnx_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, kept: Kept
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """com.microsoft.GroupQueryAttention, which can only be exported.

    query: [B, T, heads, size]; key, value: [B, T, key_heads, size]
    Returns what is gathered [B, T, heads * size], and the new keys and values.
    """
    import torch

    keys, values, last, total = kept
    mixed, new_keys, new_values = torch.onnx.ops.symbolic_multi_out(
        "com.microsoft::GroupQueryAttention",
        (query.flatten(2), key.flatten(2), value.flatten(2), keys, values, last, total),
        attrs={"num_heads": query.shape[2], "kv_num_heads": key.shape[2], "do_rotary": 0},
        dtypes=(query.dtype, keys.dtype, values.dtype),
        shapes=(query.flatten(2).shape, keys.shape, values.shape),
        version=1,
    )
    return mixed, new_keys, new_values


def torch_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, kept: Kept
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same in PyTorch's own operations, for TorchScript; it looks at the whole buffer, and writes into it.

    A trace would keep the device that arange was told as a constant, so positions are counted by cumsum.
    """
    import torch
    from torch.nn import functional

    keys, values, _, total = kept
    shared = query.shape[2] // key.shape[2]
    new = torch.ones_like(query[0, :, 0, 0], dtype=torch.int64).cumsum(0) - 1
    slots = total.long() - query.shape[1] + new
    keys[:, :, slots] = key.transpose(1, 2).type_as(keys)  # of index_copy Apple's MPS has had none
    values[:, :, slots] = value.transpose(1, 2).type_as(values)
    places = torch.ones_like(keys[0, 0, :, 0], dtype=torch.int64).cumsum(0) - 1
    heard = places[None, :] <= slots[:, None]
    mixed = functional.scaled_dot_product_attention(
        query.transpose(1, 2), keys.repeat_interleave(shared, 1), values.repeat_interleave(shared, 1), attn_mask=heard
    )
    return mixed.transpose(1, 2).flatten(2), keys, values
