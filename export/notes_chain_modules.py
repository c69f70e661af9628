"""The parts of the chain model as they are exported: modules whose arguments are a graph's inputs, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engines.notes.chain import HEADS
from engines.notes.events import PITCH, STEP
from engines.notes.fields import PITCHES
from engines.notes.memory import REFERENCES
from offline.notes.chain.network import ChainNetwork, Choice


class Trunk(nn.Module):
    """Elements in, the hidden vector of the last of them out, with the context kept in buffers."""

    def __init__(self, network: ChainNetwork, attention: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self.network, self.attention = network, attention

    def forward(
        self, fields: Tensor, cos: Tensor, sin: Tensor, last: Tensor, total: Tensor, *kept: Tensor
    ) -> tuple[Tensor, ...]:
        """fields: [B, T, ELEMENT_FIELDS]; cos, sin: [B, T, heads, size / 2]; see export.attention for the rest."""
        network: Any = self.network
        x = nn.functional.embedding(fields, network.table.weight).sum(-2)
        new: list[Tensor] = []
        for number, layer in enumerate(network.layers):
            query, key, value = layer.projected(x, cos, sin)
            keys, values = kept[2 * number : 2 * number + 2]
            mixed, keys, values = self.attention(query, key, value, (keys, values, last, total))
            x = layer.mixed(x, mixed)
            new += [keys, values]
        return network.last(x[:, -1]), *new


class ToldModule(nn.Module):
    """What a head is told of the choices before it: a sum of embeddings."""

    def __init__(self, network: ChainNetwork) -> None:
        super().__init__()
        weight, layout = network.chosen.weight.detach().clone(), network.layout
        self.notes_end, self.first_reference = layout.bar[0], layout.reference[0]
        # Drums have row 0 as their class of pitch, and a training may have learned it; here it is nothing, many times.
        drums = layout.note[PITCH - STEP] + PITCHES // 2
        weight[drums : drums + PITCHES // 2] += weight[0]
        weight[0] = 0.0
        self.table = nn.Parameter(torch.cat([weight[: self.notes_end], weight[self.first_reference :]]))

    def forward(self, fields: Tensor) -> Tensor:
        """[M, width] of fields [M, F], rows of notes and of references in the network's table; 0 is nothing."""
        moved = fields - (self.first_reference - self.notes_end)
        return nn.functional.embedding(torch.where(fields < self.first_reference, fields, moved), self.table).sum(-2)


class HeadModule(nn.Module):
    """One head. The last argument is `keep`, the share of memory's bonuses."""

    def __init__(self, network: ChainNetwork, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, x: Tensor, candidates: Tensor, *told: Tensor) -> Tensor:
        """Logits [M, classes] of x [M, width], hidden vectors with what the head is told (ToldModule).

        told: chosen [M, 3] from the second head on: step, role, pitch; references from the third on; tonality for
        the pitch's
        """
        *seen, keep = told
        head = HEADS.index(self.name)
        if head == 0:
            return self.network.step_logits(x, candidates, keep)
        chosen = seen[0]
        none = torch.zeros((x.shape[0], REFERENCES, 4), dtype=torch.int64)
        choice = Choice(
            x, candidates, seen[1] if head > 1 else none, none, seen[-1], none,
            step=chosen[:, 0], role=chosen[:, 1], pitch=chosen[:, 2], duration=chosen[:, 2],
        )  # fmt: skip
        return self.network.head_logits(self.name, x, choice, keep)
