"""GptNetwork: a decoder over REMI tokens, weight for weight Hugging Face's LlamaForCausalLM with tied embeddings.

Llama's shape (Touvron et al. 2023: RMSNorm before each part, rotary positions (Su et al. 2021), SwiGLU) rather than
GPT-2's: with rotary positions a full context slides on without being computed again, which learned ones forbid, and
`sideman bench notes` can have Hugging Face generate with the very same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Attention = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""See export/attention.py."""

ROPE_BASE = 10000.0
NORM_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class GptShape:
    """vocabulary: tokens; width: of the residual stream; heads share key_heads keys and values; hidden: of SwiGLU."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    hidden: int
    dropout: float = 0.0

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self.width // self.heads


class GptNetwork(nn.Module):
    """Tokens to logits of the next token."""

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, NORM_EPS)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                into = name.endswith(("output.weight", "down.weight"))  # what is added to the residual stream
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5 if into else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: int64 [B, T], each row from its first position. Logits float [B, T, vocabulary]."""
        cos, sin = rotation(torch.arange(tokens.shape[1], device=tokens.device), self.shape.head_size)
        x: Tensor = self.embed(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return functional.linear(self.norm(x), self.embed.weight)


class Block(nn.Module):
    """Attention, then SwiGLU, each added to what comes in."""

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.heads, self.key_heads, self.head_size = shape.heads, shape.key_heads, shape.head_size
        keys = shape.key_heads * shape.head_size
        self.attention_norm = nn.RMSNorm(shape.width, NORM_EPS)
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, keys, bias=False)
        self.value = nn.Linear(shape.width, keys, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)
        self.hidden_norm = nn.RMSNorm(shape.width, NORM_EPS)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [B, T, width]; cos, sin: [T, head_size / 2]."""
        query, key, value = self.heard(x, cos, sin)
        rows, length = x.shape[:2]
        shared = self.heads // self.key_heads
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2).repeat_interleave(shared, 1),
            value.transpose(1, 2).repeat_interleave(shared, 1),
            is_causal=True,
        )
        return self.after(x, mixed.transpose(1, 2).reshape(rows, length, -1))

    def heard(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, T, heads, head_size] and keys, both rotated, and values [B, T, key_heads, head_size]."""
        rows, length = x.shape[:2]
        normed = self.attention_norm(x)
        query = self.query(normed).reshape(rows, length, self.heads, self.head_size)
        key = self.key(normed).reshape(rows, length, self.key_heads, self.head_size)
        value = self.value(normed).reshape(rows, length, self.key_heads, self.head_size)
        return rotated(query, cos, sin), rotated(key, cos, sin), value

    def after(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The stream after what attention gathered, [B, T, width]."""
        x = x + self.dropout(self.output(mixed))
        normed = self.hidden_norm(x)
        hidden = functional.silu(self.gate(normed)) * self.up(normed)
        added: Tensor = self.dropout(self.down(hidden))
        return x + added


def rotation(positions: Tensor, head_size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [..., head_size / 2] of positions [...]."""
    places = torch.arange(0, head_size, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None].float() * ROPE_BASE ** (-places / head_size)
    return angles.cos(), angles.sin()


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads [B, T, H, head_size] turned by [T, head_size / 2], the first half of a head against its second."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class GptStep(nn.Module):
    """The network over new tokens and a context that is kept; what is exported (export/attention.py)."""

    def __init__(self, network: GptNetwork, attention: Attention) -> None:
        super().__init__()
        self.network = network
        self.attention = attention

    def forward(self, tokens: Tensor, cos: Tensor, sin: Tensor, last: Tensor, total: Tensor, *kept: Tensor) -> Any:
        """tokens: int64 [B, T]; cos, sin: [T, head_size / 2] of their positions; last, total, kept: see the attention.

        Logits of what follows the last token [B, vocabulary], and the new keys and values.
        """
        x: Tensor = self.network.embed(tokens)
        after: list[Tensor] = []
        for layer, block in enumerate(self.network.blocks):
            query, key, value = block.heard(x, cos, sin)  # type: ignore[operator]
            mixed, *new = self.attention(query, key, value, (*kept[2 * layer : 2 * layer + 2], last, total))
            x = block.after(x, mixed)  # type: ignore[operator]
            after += new
        # In three dimensions a MatMul: of a Gemm the quantiser would turn the weight round, under the embedding's feet.
        logits = functional.linear(self.network.norm(x[:, -1:]), self.network.embed.weight)[:, 0]
        return logits, *after
