"""The two networks of the groove model.

StepNetwork decides one sixteenth: a gate chooses between copying the mask of one of the candidates of the past and
writing something new, drum by drum. p(mask) = sum of the gate over the candidates that hold it + gate(new) p_new(mask),
exactly; there is no unknown mask. Scoring candidates by shared weights is a pointer network (Vinyals et al. 2015) over
a match model (docs/drums.md, The groove model).

HumaniserNetwork decides how the hits of a step are played: a distribution in bins over velocity and over offset, per
instrument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.drums.bar import INSTRUMENTS, MASKS
from engines.drums.features import (
    AGREEMENTS,
    CANDIDATES,
    CONTEXT,
    DISTANCE_SPAN,
    NO_MUSIC,
    PAST,
    SPANS,
)
from engines.drums.humaniser import AROUND, BINS, HEARD, MEANS

IMPOSSIBLE = -1e4
"""The gate's logit for a candidate before the start of the music."""

PAIRS = INSTRUMENTS * (INSTRUMENTS - 1) // 2
NODES = MASKS - 1

_COUNT_SCALE = [*(1.0 / span for span in SPANS), 1.0 / 16, 1.5 / DISTANCE_SPAN, 1.0 / 8]
_FLAT_CANDIDATES = 15
_FLAT_AGREEMENTS = 6


@dataclass(frozen=True, slots=True)
class StepShape:
    """Sizes of StepNetwork."""

    styles: int  # styles of the training data
    width: int = 384  # of the body's layers
    layers: int = 2  # of the body
    candidate: int = 24  # width of a candidate's scorers
    heads: int = 4  # attentions over the candidates that the body reads
    dropout: float = 0.3  # after each layer of the body


class StepNetwork(nn.Module):
    """See the module. Inputs as engines.drums.features.Tables: past int64 [B, PAST], copies int64 [B, CANDIDATES],
    agreement float32 [B, AGREEMENTS, CANDIDATES], context float32 [B, CONTEXT + styles + 6]."""

    def __init__(self, shape: StepShape) -> None:
        super().__init__()
        self.shape = shape
        controls = shape.styles + 6
        known = AGREEMENTS + 1 + INSTRUMENTS
        glimpse = CONTEXT + 18 * INSTRUMENTS
        inputs = PAST * INSTRUMENTS + CONTEXT + controls + shape.heads * INSTRUMENTS
        inputs += _FLAT_CANDIDATES * _FLAT_AGREEMENTS
        self.reader = nn.Linear(known, shape.candidate)
        self.reader_place = nn.Parameter(torch.zeros(CANDIDATES, shape.candidate))
        self.reader_query = nn.Linear(glimpse, shape.candidate)
        self.reader_heads = nn.Linear(shape.candidate, shape.heads, bias=False)
        layers: list[nn.Module] = []
        for i in range(shape.layers):
            layers += [nn.Linear(inputs if i == 0 else shape.width, shape.width), nn.ReLU(), nn.Dropout(shape.dropout)]
        self.body = nn.Sequential(*layers)
        self.pointer = nn.Linear(known, shape.candidate)
        self.pointer_place = nn.Parameter(torch.zeros(CANDIDATES, shape.candidate))
        self.pointer_query = nn.Linear(shape.width, shape.candidate)
        self.pointer_score = nn.Linear(shape.candidate, 1)
        self.gate_new = nn.Linear(shape.width, 1)
        self.writer = nn.Linear(shape.width, INSTRUMENTS + PAIRS)
        masks = torch.arange(NO_MUSIC + 1)[:, None] >> torch.arange(INSTRUMENTS)
        bits = (masks & 1).float()
        self.register_buffer("bits", bits, persistent=False)
        self.register_buffer("scale", torch.tensor(_COUNT_SCALE)[:, None], persistent=False)
        nodes, tree = _tree()
        self.register_buffer("nodes", nodes, persistent=False)
        self.register_buffer("tree", tree, persistent=False)

    def forward(self, past: Tensor, copies: Tensor, agreement: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The gate's logits [B, CANDIDATES + 1], something new last, and the writer's coefficients [B, 9 + 36]."""
        bits = cast(Tensor, self.bits)
        rows = past.shape[0]
        counts = agreement * cast(Tensor, self.scale)
        valid = copies != NO_MUSIC
        held = bits[copies]
        heard = bits[past].reshape(rows, PAST * INSTRUMENTS)
        known = torch.cat([counts.transpose(1, 2), valid[:, :, None].to(held.dtype), held], dim=2)

        query = self.reader_query(torch.cat([context[:, :CONTEXT], heard[:, : 18 * INSTRUMENTS]], dim=1))
        keys = torch.relu(self.reader(known) + self.reader_place + query[:, None])
        scores = self.reader_heads(keys).float().masked_fill(~valid[:, :, None], IMPOSSIBLE)
        read = torch.matmul(scores.softmax(dim=1).transpose(1, 2), held).reshape(rows, -1)

        flat = counts[:, :_FLAT_AGREEMENTS, :_FLAT_CANDIDATES].reshape(rows, _FLAT_AGREEMENTS * _FLAT_CANDIDATES)
        body = self.body(torch.cat([heard, context, read, flat], dim=1))

        keys = torch.relu(self.pointer(known) + self.pointer_place + self.pointer_query(body)[:, None])
        copy = self.pointer_score(keys)[:, :, 0].float().masked_fill(~valid, IMPOSSIBLE)
        gate = torch.cat([copy, self.gate_new(body).float()], dim=1)
        return gate, self.writer(body).float()

    def log_probability(self, past: Tensor, copies: Tensor, agreement: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Exact log-probability [B] of masks [B]."""
        gate, coefficients = self(past, copies, agreement, context)
        weights = gate.log_softmax(dim=1)
        copied = weights[:, :-1].masked_fill(copies != mask[:, None], IMPOSSIBLE)
        new = weights[:, -1] + self.written(coefficients, mask)
        return torch.cat([copied, new[:, None]], dim=1).logsumexp(dim=1)

    def written(self, coefficients: Tensor, mask: Tensor) -> Tensor:
        """Log-probability [B] of writing masks [B], one drum after another."""
        with torch.autocast(coefficients.device.type, enabled=False):
            logits = coefficients @ cast(Tensor, self.tree)
        chosen = logits.gather(1, cast(Tensor, self.nodes)[mask])
        on = cast(Tensor, self.bits)[mask]
        return -functional.binary_cross_entropy_with_logits(chosen, on, reduction="none").sum(dim=1)


class StepModule(nn.Module):
    """StepNetwork as it is exported: gate logits [B, CANDIDATES + 1] and log-probability of writing each mask [B, 512].

    Writing is a tree of 511 nodes, one for each instrument and what was decided for those before it; a mask is a path.
    """

    def __init__(self, network: StepNetwork) -> None:
        super().__init__()
        self.network = network
        nodes = cast(Tensor, network.nodes)
        # Log-probabilities of "on" at all nodes are followed by those of "off".
        on = cast(Tensor, network.bits)[:MASKS] > 0
        self.register_buffer("path", torch.where(on, nodes, nodes + NODES).T.reshape(-1), persistent=False)

    def forward(self, past: Tensor, copies: Tensor, agreement: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See StepNetwork for the inputs."""
        gate, coefficients = self.network(past, copies, agreement, context)
        logits = coefficients @ cast(Tensor, self.network.tree)
        off = -functional.softplus(logits)
        both = torch.cat([logits + off, off], dim=1)
        steps = both.index_select(1, cast(Tensor, self.path)).reshape(-1, INSTRUMENTS, MASKS)
        return gate, steps.sum(dim=1)


def _tree() -> tuple[Tensor, Tensor]:
    """The nodes [512, 9] on each mask's path, and what each coefficient adds to each node's logit [9 + 36, 511].

    Node (1 << i) - 1 + p decides instrument i where those before it are the bits of p. Its logit is coefficient i, and
    that of each pair (i, j < i) for which j is in p.
    """
    masks = torch.arange(MASKS)
    nodes = torch.stack([(1 << i) - 1 + masks % (1 << i) for i in range(INSTRUMENTS)], dim=1)
    tree = torch.zeros(INSTRUMENTS + PAIRS, NODES)
    pair = INSTRUMENTS
    for i in range(INSTRUMENTS):
        first, prefixes = (1 << i) - 1, torch.arange(1 << i)
        tree[i, first : first + len(prefixes)] = 1.0
        for j in range(i):
            tree[pair, first : first + len(prefixes)] = ((prefixes >> j) & 1).float()
            pair += 1
    return nodes, tree


@dataclass(frozen=True, slots=True)
class HumaniserShape:
    """Sizes of HumaniserNetwork."""

    styles: int  # styles of the training data
    width: int = 256  # of the body's layers
    layers: int = 2  # of the body
    dropout: float = 0.2  # after each


class HumaniserNetwork(nn.Module):
    """Inputs as engines.drums.humaniser: around int64 [B, AROUND], heard float32 [B, HEARD], means float32 [B, MEANS],
    context float32 [B, CONTEXT + styles + 3]."""

    def __init__(self, shape: HumaniserShape) -> None:
        super().__init__()
        self.shape = shape
        inputs = AROUND * (INSTRUMENTS + 1) + HEARD + MEANS + CONTEXT + shape.styles + 3
        layers: list[nn.Module] = []
        for i in range(shape.layers):
            layers += [nn.Linear(inputs if i == 0 else shape.width, shape.width), nn.ReLU(), nn.Dropout(shape.dropout)]
        self.body = nn.Sequential(*layers)
        self.answer = nn.Linear(shape.width, 2 * INSTRUMENTS * BINS)
        masks = torch.arange(NO_MUSIC + 1)[:, None] >> torch.arange(INSTRUMENTS + 1)
        self.register_buffer("bits", (masks & 1).float(), persistent=False)

    def forward(self, around: Tensor, heard: Tensor, means: Tensor, context: Tensor) -> Tensor:
        """Logits of velocity and offset bins: [B, 2, 9, BINS]."""
        seen = cast(Tensor, self.bits)[around].reshape(-1, AROUND * (INSTRUMENTS + 1))
        body = self.body(torch.cat([seen, heard, means, context], dim=1))
        return cast(Tensor, self.answer(body)).float().reshape(-1, 2, INSTRUMENTS, BINS)


class HumaniserModule(nn.Module):
    """HumaniserNetwork as it is exported: cumulative probabilities of the bins [B, 2, 9, BINS]."""

    def __init__(self, network: HumaniserNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, around: Tensor, heard: Tensor, means: Tensor, context: Tensor) -> Tensor:
        """See HumaniserNetwork for the inputs."""
        return cast(Tensor, self.network(around, heard, means, context)).softmax(dim=3).cumsum(dim=3)
