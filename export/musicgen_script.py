"""The step once more, in PyTorch's own operations, for TorchScript: the inputs and outputs of the graph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.musicgen.shape import Shape, step_inputs
from export.attention import torch_attention
from export.torchscript import from_torch as script

ROWS, COLUMNS, TOKENS, WINDOW = 2, 3, 5, 16
"""Sizes that the module is traced with."""


def write_script(decoder: Any, shape: Shape, path: Path) -> None:
    """decoder: a MusicgenForCausalLM."""
    free = {
        "codes": (ROWS, COLUMNS),
        "position": (COLUMNS,),
        "steer": (ROWS,),
        "heard": (ROWS, TOKENS),
        "last": (ROWS,),
    }
    shown: list[Tensor] = []
    for each in step_inputs(shape, WINDOW):
        sizes = list(free.get(each.name, (ROWS, TOKENS)))
        dims = [sizes.pop(0) if size == -1 else size for size in each.shape]
        full = {"last": COLUMNS - 1, "total": COLUMNS}.get(each.name, 0)
        shown.append(torch.full(dims, full, dtype=getattr(torch, each.dtype)))
    script(Step(decoder), shown, path, frozen=False)


class Step(nn.Module):
    """New columns of codes in, the logits after the last of them out."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        trunk = decoder.model.decoder
        self.tables, self.layers, self.norm = trunk.embed_tokens, trunk.layers, trunk.layer_norm
        self.heads = decoder.lm_heads
        half = decoder.config.hidden_size // 2
        turns = torch.exp(torch.arange(half, dtype=torch.int64).float() * -(math.log(10000) / (half - 1)))
        self.turns = turns  # a constant of the trace: in bfloat16 positions would be blurred

    def forward(  # noqa: PLR0917  # the graph's inputs, in order
        self, codes: Tensor, position: Tensor, steer: Tensor, heard: Tensor, last: Tensor, total: Tensor, *kept: Tensor
    ) -> tuple[Tensor, ...]:
        """See engines.musicgen.shape.step_inputs; kept: the buffers, then the text's keys and values."""
        x = torch.stack([table(codes[..., book]) for book, table in enumerate(self.tables)]).sum(0)
        angle = position[:, None].float() * self.turns[None]
        x = x + torch.cat([torch.cos(angle), torch.sin(angle)], -1).type_as(x)
        own, text = kept[: 2 * len(self.layers)], kept[2 * len(self.layers) :]
        new: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            here = slice(2 * number, 2 * number + 2)
            x, keys, values = _layer(layer, x, (*own[here], last, total), text[here], heard)
            x = x + steer[number][:, None]
            new += [keys, values]
        x = self.norm(x[:, -1])
        return torch.stack([head(x) for head in self.heads], 1), *new


def _layer(layer: Any, x: Tensor, own: Any, text: tuple[Tensor, ...], heard: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x [B, T, d] after a MusicgenDecoderLayer, and its buffers; own: export.attention's."""
    attention, cross = layer.self_attn, layer.encoder_attn
    shape = (x.shape[0], x.shape[1], attention.num_heads, attention.head_dim)
    normed = layer.self_attn_layer_norm(x)
    query, key, value = (each(normed).reshape(shape) for each in (attention.q_proj, attention.k_proj, attention.v_proj))
    mixed, keys, values = torch_attention(query, key, value, own)
    x = x + attention.out_proj(mixed)
    query = cross.q_proj(layer.encoder_attn_layer_norm(x)).reshape(shape).transpose(1, 2)
    mask = (heard > 0)[:, None, None, :]
    mixed = functional.scaled_dot_product_attention(query, text[0], text[1], attn_mask=mask)
    x = x + cross.out_proj(mixed.transpose(1, 2).flatten(2))
    return x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))), keys, values
