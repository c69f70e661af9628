"""Network: a MusicGen's decoder and text encoder, of transformers' modules, in a pass that is quick to train.

What it says is what MusicgenForConditionalGeneration says (a test holds them together); the products of attention are
one, the heads of all codebooks are another, and no mask is built where the order of the columns is mask enough.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MusicgenForCausalLM, T5EncoderModel

from offline.musicgen.decoder.config import DecoderConfig


class DecoderNetwork(nn.Module):
    """`text`, `projection` and `decoder` are the parts of a MusicgenForConditionalGeneration that learn."""

    def __init__(self, config: DecoderConfig, words: int, books: int, codes: int) -> None:
        """words: of the text's vocabulary; books of `codes` codes each. Weights are random, from torch's generator."""
        super().__init__()
        self.dropout = config.dropout
        self.text: Any = T5EncoderModel(config.t5(words))
        self.decoder: Any = MusicgenForCausalLM(config.musicgen(books, codes))
        width = config.width
        self.projection = nn.Linear(config.text_width, width) if config.text_width != width else None
        _begin(self.decoder)

    def forward(self, columns: Tensor, tokens: Tensor, heard: Tensor) -> Tensor:
        """Logits [B, T, books, codes] of what follows each column.

        columns: int64 [B, books, T], delayed; tokens: int64 [B, S]; heard: bool [B, S], which of them are read: none of
        a row's is no text, which are zeros (engines.musicgen.model.MusicgenModel.prompt).
        """
        trunk = self.decoder.model.decoder
        rows, books, length = columns.shape
        states = self._read(tokens, heard)
        silent = ~heard.any(1, keepdim=True)
        read = torch.cat([heard[:, :1] | silent, heard[:, 1:]], 1)[:, None, None]
        before = torch.ones(length, length, dtype=torch.bool, device=columns.device).tril()
        masks = (_additive(before), _additive(read))
        table = torch.cat([each.weight for each in trunk.embed_tokens])
        offsets = torch.arange(books, device=columns.device) * trunk.embed_tokens[0].weight.shape[0]
        x = functional.embedding(columns.transpose(1, 2) + offsets, table).sum(2)
        x = x + trunk.embed_positions.weights[:length]
        for layer in trunk.layers:
            x = self._layer(layer, x, states, masks)
        heads = torch.cat([head.weight for head in self.decoder.lm_heads])
        logits: Tensor = functional.linear(trunk.layer_norm(x), heads).view(rows, length, books, -1)
        return logits

    def _read(self, tokens: Tensor, heard: Tensor) -> Tensor:
        """[B, S, width]: what is attended to; zeros where nothing is read."""
        mask = heard.clone()
        mask[:, 0] = True  # attention over nothing is not a number
        states: Tensor = self.text(input_ids=tokens, attention_mask=mask).last_hidden_state
        if self.projection is not None:
            states = self.projection(states)
        return states * heard[..., None]

    def _layer(self, layer: Any, x: Tensor, states: Tensor, masks: tuple[Tensor, Tensor]) -> Tensor:
        """x [B, T, d] after a MusicgenDecoderLayer."""
        own, text = layer.self_attn, layer.encoder_attn
        rows, length, width = x.shape
        heads = own.num_heads
        joined = torch.cat([own.q_proj.weight, own.k_proj.weight, own.v_proj.weight])
        parts = functional.linear(layer.self_attn_layer_norm(x), joined).view(rows, length, 3, heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = _attention(query, key, value, masks[0])
        x = x + self._drop(own.out_proj(mixed.transpose(1, 2).reshape(rows, length, width)))
        query = text.q_proj(layer.encoder_attn_layer_norm(x)).view(rows, length, heads, -1).transpose(1, 2)
        joined = torch.cat([text.k_proj.weight, text.v_proj.weight])
        parts = functional.linear(states, joined).view(rows, -1, 2, heads, width // heads)
        key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = _attention(query, key, value, masks[1])
        x = x + self._drop(text.out_proj(mixed.transpose(1, 2).reshape(rows, length, width)))
        inner = functional.gelu(layer.fc1(layer.final_layer_norm(x)))
        return x + self._drop(layer.fc2(inner))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


def _additive(allowed: Tensor) -> Tensor:
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, -1e9)


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """[B, heads, T, size]. On a CPU the plain products are three times as quick as the fused kernel in bfloat16."""
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask.to(query.dtype))
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2)) + mask.to(query.dtype)
    return torch.matmul(scores.softmax(-1).to(value.dtype), value)


@torch.no_grad()
def _begin(decoder: Any) -> None:
    """Weights at the scale of their width: of the .02 that transformers begins with a narrow model hears little.

    What is added to the residual stream begins smaller the more layers add to it (Radford et al., GPT-2, 2019).
    """
    trunk = decoder.model.decoder
    for table in trunk.embed_tokens:
        table.weight.normal_(0.0, len(trunk.embed_tokens) ** -0.5)
    for layer in trunk.layers:
        for name, module in layer.named_modules():
            if isinstance(module, nn.Linear):
                adds = name.endswith(("out_proj", "fc2"))
                module.weight.normal_(0.0, (module.in_features * (3 * len(trunk.layers) if adds else 1)) ** -0.5)
    for head in decoder.lm_heads:
        head.weight.normal_(0.0, 0.5 * head.in_features**-0.5)
