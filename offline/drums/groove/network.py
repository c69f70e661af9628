"""The two networks of the groove model.

StepNetwork decides one sixteenth: a gate chooses between copying the mask of one of the candidates of the past and
writing something new, drum by drum. p(mask) = sum of the gate over the candidates that hold it + gate(new) p_new(mask),
exactly; there is no unknown mask. Scoring candidates by shared weights is a pointer network (Vinyals et al. 2015) over
a match model (docs/MODELS.md, groove).

HumaniserNetwork decides how the hits of a step are played: a distribution in bins over velocity and over offset, per
instrument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.drums.bar import INSTRUMENTS
from engines.drums.features import AGREEMENTS, CANDIDATES, CONTEXT, NO_MUSIC, PAST, WHOLE
from engines.drums.humaniser import AROUND, BINS, HEARD, MEANS, TEMPO
from engines.drums.writer import COEFFICIENTS, NODES_OF_MASK, TREE

IMPOSSIBLE = -1e4
NEAR_CANDIDATES = 15
"""Candidates of which the body itself sees how their masks, and over the longer span their instruments, agreed."""

SEEN_AGREEMENTS = WHOLE + INSTRUMENTS


class Dropout(nn.Module):
    """Dropout from random bytes: eight times fewer draws than torch's, which are a tenth of a step on a CPU."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.lost = round(p * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Some of x set to 0 while training, the others raised so that the mean stays."""
        if not self.training or not self.lost:
            return x
        count = x.numel()
        words = torch.randint(-(1 << 63), (1 << 63) - 1, ((count + 7) // 8,), device=x.device)
        kept = words.view(torch.uint8)[:count].reshape(x.shape) >= self.lost
        return x * kept * (256 / (256 - self.lost))


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
    """Decides one sixteenth, and is exported as it is.

    Inputs as engines.drums.features.Tables, agreement scaled: past int64 [B, PAST], copies int64 [B, CANDIDATES],
    agreement float32 [B, CANDIDATES, AGREEMENTS], context float32 [B, CONTEXT + styles + 6].
    Outputs: the gate's logits [B, CANDIDATES + 1], something new last, where those of candidates before the start of
    the music mean nothing; the writer's coefficients [B, COEFFICIENTS] (engines.drums.writer).
    """

    def __init__(self, shape: StepShape) -> None:
        super().__init__()
        self.shape = shape
        known = AGREEMENTS + INSTRUMENTS + 1
        seen = PAST * (INSTRUMENTS + 1) + CONTEXT + shape.styles + 6
        read = shape.heads * (INSTRUMENTS + 1) + INSTRUMENTS + NEAR_CANDIDATES * SEEN_AGREEMENTS
        self.reader = nn.Linear(known, shape.candidate)
        self.reader_place = nn.Parameter(torch.zeros(CANDIDATES, shape.candidate))
        self.reader_heads = nn.Linear(shape.candidate, shape.heads, bias=False)
        self.drum_key = nn.Linear(shape.candidate, INSTRUMENTS)
        self.drum_place = nn.Parameter(torch.zeros(CANDIDATES, INSTRUMENTS))
        self.drum_differs = nn.Parameter(torch.tensor([[2.4], [0.6]]).expand(-1, INSTRUMENTS).clone())
        self.drum_says = nn.Parameter(torch.zeros(INSTRUMENTS))
        layers: list[nn.Module] = []
        for i in range(shape.layers):
            inputs = seen + read if i == 0 else shape.width
            layers += [nn.Linear(inputs, shape.width), nn.ReLU(), Dropout(shape.dropout)]
        self.body = nn.Sequential(*layers)
        self.pointer = nn.Linear(known, shape.candidate)
        self.pointer_place = nn.Parameter(torch.zeros(CANDIDATES, shape.candidate))
        self.pointer_query = nn.Linear(shape.width, shape.candidate)
        self.pointer_score = nn.Linear(shape.candidate, 1)
        self.gate_new = nn.Linear(shape.width, 1)
        self.writer = nn.Linear(shape.width, COEFFICIENTS)
        self.register_buffer("bits", _bits(), persistent=False)
        self.register_buffer("tree", torch.from_numpy(TREE), persistent=False)
        self.register_buffer("nodes", torch.from_numpy(NODES_OF_MASK), persistent=False)

    def forward(self, past: Tensor, copies: Tensor, agreement: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        bits = cast(Tensor, self.bits)
        heard = functional.embedding(past, bits).flatten(1)
        held = functional.embedding(copies, bits)
        known = torch.cat([agreement, held], dim=2)
        seen = torch.cat([heard, context], dim=1)

        # All that looks at every candidate, in one product.
        weights = torch.cat([self.reader.weight, self.pointer.weight, self._distrust()])
        sizes = [self.shape.candidate, self.shape.candidate, INSTRUMENTS]
        reader, pointer, trust = torch.split(functional.linear(known, weights), sizes, dim=2)

        keys = torch.relu(reader + (self.reader_place + self.reader.bias))
        attention = self.reader_heads(keys).softmax(dim=1).transpose(1, 2)
        read = torch.matmul(attention, held).flatten(1)
        trust = (trust + self.drum_key(keys) + self.drum_place).transpose(1, 2).softmax(dim=2)
        copied = (trust * held[:, :, :INSTRUMENTS].transpose(1, 2)).sum(dim=2)
        near = agreement[:, :NEAR_CANDIDATES, :SEEN_AGREEMENTS].flatten(1)
        body = self.body(torch.cat([seen, read, copied, near], dim=1))

        query = self.pointer_query(body)[:, None]
        keys = torch.relu(pointer + (self.pointer_place + self.pointer.bias) + query)
        gate = torch.cat([self.pointer_score(keys).flatten(1), self.gate_new(body)], dim=1)

        # What is written is by default what each drum's own candidates say of it.
        likely = copied.clamp(0.01, 0.99)
        alone = functional.pad(self.drum_says * (likely.log() - (1 - likely).log()), (0, COEFFICIENTS - INSTRUMENTS))
        return gate.float(), (self.writer(body) + alone).float()

    def _distrust(self) -> Tensor:
        """What of `known` speaks against copying a drum from a candidate, as weights [9, known]."""
        differed = torch.diag_embed(-self.drum_differs).transpose(0, 1).flatten(1)
        nothing = differed.new_zeros(INSTRUMENTS, WHOLE), differed.new_zeros(INSTRUMENTS, INSTRUMENTS)
        nowhere = differed.new_full((INSTRUMENTS, 1), IMPOSSIBLE)
        return torch.cat([nothing[0], differed, nothing[1], nowhere], dim=1)

    def log_probability(self, past: Tensor, copies: Tensor, agreement: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Exact log-probability [B] of masks [B]."""
        gate, coefficients = self(past, copies, agreement, context)
        nowhere = functional.pad(copies == NO_MUSIC, (0, 1), value=False)
        weights = gate.masked_fill(nowhere, IMPOSSIBLE).log_softmax(dim=1)
        copied = weights[:, :-1].masked_fill(copies != mask[:, None], IMPOSSIBLE)
        new = weights[:, -1] + self.written(coefficients, mask)
        return torch.cat([copied, new[:, None]], dim=1).logsumexp(dim=1)

    def written(self, coefficients: Tensor, mask: Tensor) -> Tensor:
        """Log-probability [B] of writing masks [B], one drum after another."""
        with torch.autocast(coefficients.device.type, enabled=False):
            logits = coefficients @ cast(Tensor, self.tree)
        chosen = logits.gather(1, cast(Tensor, self.nodes)[mask])
        on = cast(Tensor, self.bits)[mask, :INSTRUMENTS]
        return -functional.binary_cross_entropy_with_logits(chosen, on, reduction="none").sum(dim=1)


def _bits() -> Tensor:
    """The hits of each mask, and whether it is NO_MUSIC: [513, 10]."""
    return ((torch.arange(NO_MUSIC + 1)[:, None] >> torch.arange(INSTRUMENTS + 1)) & 1).float()


@dataclass(frozen=True, slots=True)
class HumaniserShape:
    """Sizes of HumaniserNetwork."""

    styles: int  # styles of the training data
    width: int = 256  # of the body's layers
    layers: int = 2  # of the body
    dropout: float = 0.2  # after each


class HumaniserNetwork(nn.Module):
    """Inputs as engines.drums.humaniser: around int64 [B, AROUND], heard float32 [B, HEARD], means float32 [B, MEANS],
    context float32 [B, CONTEXT + styles + 3 + TEMPO]."""

    def __init__(self, shape: HumaniserShape) -> None:
        super().__init__()
        self.shape = shape
        inputs = AROUND * (INSTRUMENTS + 1) + HEARD + MEANS + CONTEXT + shape.styles + 3 + TEMPO
        layers: list[nn.Module] = []
        for i in range(shape.layers):
            layers += [nn.Linear(inputs if i == 0 else shape.width, shape.width), nn.ReLU(), Dropout(shape.dropout)]
        self.body = nn.Sequential(*layers)
        self.answer = nn.Linear(shape.width, 2 * INSTRUMENTS * BINS)
        self.register_buffer("bits", _bits(), persistent=False)

    def forward(self, around: Tensor, heard: Tensor, means: Tensor, context: Tensor) -> Tensor:
        """Logits of velocity and offset bins: [B, 2, 9, BINS]."""
        seen = functional.embedding(around, cast(Tensor, self.bits)).flatten(1)
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
