"""ChainNetwork: a transformer over bars and notes, and the chain of heads that says the next note.

Trunk: RMSNorm (Zhang and Sennrich 2019) before each part, rotary positions (Su et al. 2021) on the element's index in
half of the heads and on musical time in the other half. Heads: step or the bar's end, then role, pitch, duration,
velocity, offset, each told what those before it chose. A head's logits get a bonus, learned from its hidden vector, on
what memory names (engines.notes.memory): a copy is one choice among all, with an exact likelihood. A pitch is also
heard as an interval from its role's last note, and its class against what sounded lately (engines.notes.tonality):
both look alike in every key.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.notes.chain import HEADS
from engines.notes.events import DURATIONS, OFFSETS, STEPS_MAX, VELOCITIES
from engines.notes.fields import PITCHES, Layout
from engines.notes.memory import CANDIDATES, REFERENCES
from engines.notes.roles import ROLE_COUNT
from engines.notes.stream import turns
from engines.notes.tonality import LANES
from offline.notes.chain.config import ChainConfig

if TYPE_CHECKING:
    from offline.notes.chain.batch import Batch

STEP_CLASSES, DURATION_CLASSES, OFFSET_CLASSES = STEPS_MAX + 1, len(DURATIONS), len(OFFSETS)

INTERVALS = 24
"""Semitones up and down from its role's last note at which a pitch is also looked at as an interval."""
TONES = PITCHES + 2 * INTERVALS + 1
"""Where, in what the pitch's head says, the weights begin that each class has for what sounded around it."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2)) * weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Of x [..., width]."""
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


def angles(index: Tensor, time: Tensor, heads: int, size: int) -> Tensor:
    """[..., heads, size / 2] angles of rotation: the first half of the heads by index, the others by musical time.

    index: [...] number of the element; time: [...] sixteenths since any fixed moment
    """
    by_index, by_time = (torch.tensor(each, dtype=torch.float32, device=index.device) for each in turns(size))
    each = (*index.shape, heads // 2, size // 2)
    return torch.cat(
        [
            (index.float()[..., None, None] * by_index).expand(each),
            (time.float()[..., None, None] * by_time).expand(each),
        ],
        -2,
    )


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., heads, size] turned; its first half and second half of `size` are the pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Layer(nn.Module):
    """Attention and a feed-forward part."""

    def __init__(self, config: ChainConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.size = config.heads, width // config.heads
        self.before_attention, self.before_hidden = RMSNorm(width), RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def projected(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, T, heads, size] of x [B, T, width], turned."""
        q, k, v = self.qkv(self.before_attention(x)).unflatten(-1, (3, self.heads, self.size)).unbind(-3)
        return rotated(q, cos, sin), rotated(k, cos, sin), v

    def mixed(self, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's result from what was attended to, [B, T, width]."""
        x = x + self.dropout(self.out(attended))
        result: Tensor = x + self.dropout(self.down(functional.gelu(self.up(self.before_hidden(x)))))
        return result

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Of x [B, T, width]; cos, sin [B, T, heads, size / 2]."""
        q, k, v = (each.transpose(1, 2) for each in self.projected(x, cos, sin))
        attended = functional.scaled_dot_product_attention(q, k, v.type_as(q), is_causal=True)
        return self.mixed(x, attended.transpose(1, 2).flatten(-2))


class Head(nn.Module):
    """One choice: logits, and the weights of its bonuses."""

    def __init__(self, width: int, classes: int, bonuses: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.hidden = nn.Linear(width, width)
        self.logits = nn.Linear(width, classes)
        self.bonus = nn.Linear(width, bonuses)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[M, classes] and [M, bonuses] of x [M, width]; keep [1]: share of the bonuses."""
        u = functional.gelu(self.hidden(self.norm(x)))
        bonus = self.bonus(u).float()
        return self.logits(u).float(), bonus if keep is None else bonus * keep


def with_bonus(logits: Tensor, bonus: Tensor, classes: Tensor, valid: Tensor) -> Tensor:
    """Logits [M, C] with bonus [M, K] added at classes [M, K] where valid [M, K]."""
    return logits.scatter_add(-1, classes.clamp(0, logits.shape[-1] - 1), bonus * valid)


@dataclass
class Choice:
    """What the heads look at and choose, of M elements that a note follows.

    hidden:     [M, width] from the trunk
    candidates: [M, CANDIDATES, 4] step, role, pitch, duration; references: [M, REFERENCES, 4] pitch, duration,
                velocity, offset; reference_fields: [M, REFERENCE_FIELDS]
    tonality:   [M, LANES, 12]
    step, role, pitch, duration: [M] what comes; note_fields: [M, NOTE_FIELDS] of it.
                A head looks at those before it
    """

    hidden: Tensor
    candidates: Tensor
    references: Tensor
    reference_fields: Tensor
    tonality: Tensor
    note_fields: Tensor
    step: Tensor
    role: Tensor
    pitch: Tensor
    duration: Tensor


class ChainNetwork(nn.Module):
    """The whole model. Trained by `offline.notes.chain.train`, exported by `export.notes`."""

    def __init__(self, config: ChainConfig, genres: int) -> None:
        super().__init__()
        self.config, self.layout = config, Layout(genres)
        width = config.width
        self.table = nn.EmbeddingBag(self.layout.rows, width, mode="sum", padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.05)
        with torch.no_grad():
            self.table.weight[0] = 0.0
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.last = RMSNorm(width)
        self.step = Head(width, STEP_CLASSES, CANDIDATES)
        self.role = Head(width, ROLE_COUNT, CANDIDATES)
        self.pitch = Head(width, PITCHES + 2 * INTERVALS + 1 + LANES * 12, CANDIDATES + REFERENCES)
        self.duration = Head(width, DURATION_CLASSES, CANDIDATES + REFERENCES)
        self.velocity = Head(width, VELOCITIES, REFERENCES)
        self.offset = Head(width, OFFSET_CLASSES, REFERENCES)
        self.agreed = nn.ModuleList(
            nn.Linear(count, width, bias=False) for count in (CANDIDATES, CANDIDATES, CANDIDATES + REFERENCES)
        )
        self.chosen = nn.EmbeddingBag(self.layout.rows, width, mode="sum", padding_idx=0)
        nn.init.normal_(self.chosen.weight, std=0.05)
        with torch.no_grad():
            self.chosen.weight[0] = 0.0
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, Head):
                nn.init.normal_(module.logits.weight, std=0.02)
                nn.init.zeros_(module.logits.bias)
                nn.init.zeros_(module.bonus.weight)
                nn.init.constant_(module.bonus.bias, 0.5)
            if isinstance(module, Layer):
                for last in (module.out, module.down):
                    nn.init.normal_(last.weight, std=(2 * config.layers * last.in_features) ** -0.5)

    def embedded(self, fields: Tensor) -> Tensor:
        """[..., width] of fields [..., F]."""
        result: Tensor = self.table(fields.flatten(0, -2)).unflatten(0, fields.shape[:-1])
        return result

    def elements(self, batch: Batch) -> Tensor:
        """[B, T, width] of what a batch says of its elements."""
        x = self.embedded(batch.notes) + self.embedded(batch.memory)
        within = functional.pad(self.embedded(batch.within), (0, 0, 0, 1))  # the last row: of no bar
        x = x + within[batch.bar_of] * (batch.notes[..., :1] > 0)
        flat = x.flatten(0, 1)
        return flat.index_add(0, batch.bar_at, self.embedded(batch.bars).type_as(flat)).view_as(x)

    def trunk(self, embedded: Tensor, index: Tensor, time: Tensor) -> Tensor:
        """Hidden vectors [B, T, width] of embedded elements [B, T, width]; index, time [B, T]."""
        turn = angles(index, time, self.config.heads, self.config.width // self.config.heads)
        x, cos, sin = self.dropout(embedded), turn.cos(), turn.sin()
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.last(x)  # type: ignore[no-any-return]

    def step_logits(self, hidden: Tensor, candidates: Tensor, keep: Tensor | None = None) -> Tensor:
        """[M, STEP_CLASSES] of hidden [M, width] and candidates [M, CANDIDATES, 4]; keep [1]: share of the bonuses."""
        logits, bonus = self.step(hidden, keep)
        return with_bonus(logits, bonus, candidates[..., 0], candidates[..., 0] < STEP_CLASSES)

    def note_logits(self, c: Choice) -> tuple[Tensor, ...]:
        """Logits of role, pitch, duration, velocity and offset, each given what comes before it in the chain."""
        return tuple(
            self.head_logits(name, c.hidden + told, c) for name, told in zip(HEADS[1:], self.told(c), strict=True)
        )

    def told(self, c: Choice) -> list[Tensor]:
        """What each of the heads but the first is told, [M, width] each: embeddings of the choices before it."""
        step, role, pitch, class_, duration, velocity, _ = (
            functional.embedding(each, self.chosen.weight, padding_idx=0) for each in c.note_fields.unbind(-1)
        )
        news = (step, role + self.chosen(c.reference_fields), pitch + class_, duration, velocity)
        return list(itertools.accumulate(news))

    def head_logits(self, name: str, x: Tensor, c: Choice, keep: Tensor | None = None) -> Tensor:
        """Logits of a head but the first; x [M, width]: the trunk's hidden vectors and what the head is told.

        keep [1]: share of the bonuses. Of c it looks at candidates, references and the choices before its own.
        """
        agree = c.candidates[..., 0] == c.step[:, None]
        if name == "role":
            logits, bonus = self.role(x + self.agreed[0](agree.type_as(x)), keep)
            return with_bonus(logits, bonus, c.candidates[..., 1], agree)
        agree = agree & (c.candidates[..., 1] == c.role[:, None])
        x = x + self.agreed[1](agree.type_as(x))
        if name == "pitch":
            logits, bonus = self.pitch(x, keep)
            return self._pitch_logits(logits, bonus, agree, c)
        here = c.pitch[:, None]
        copied = torch.cat([agree & (c.candidates[..., 2] == here), c.references[..., 0] == here], 1)
        logits, bonus = getattr(self, name)(x + self.agreed[2](copied.type_as(x)), keep)
        there = c.references[..., HEADS.index(name) - 2]
        if name == "duration":
            classes, valid = (
                torch.cat([c.candidates[..., 3], there], 1),
                torch.cat([agree, there < DURATION_CLASSES], 1),
            )
            return with_bonus(logits, bonus, classes, valid)
        return with_bonus(logits, bonus, there, there < logits.shape[-1])

    def _pitch_logits(self, logits: Tensor, bonus: Tensor, agree: Tensor, c: Choice) -> Tensor:
        """[M, 128] of the chosen role's kind: pitches, or drums."""
        drums = (c.role == 0)[:, None]
        each = torch.where(drums, logits[:, 128:256], logits[:, :128])
        last = c.references[:, -1:, 0]
        known = (last < 128) & ~drums
        interval = torch.arange(128, device=each.device)[None, :] - last
        near = known & (interval.abs() <= INTERVALS)
        each = each + logits[:, PITCHES:TONES].gather(1, (interval + INTERVALS).clamp(0, 2 * INTERVALS)) * near
        weight = logits[:, TONES:].reshape(-1, LANES, 1, 12)
        turned = (torch.arange(12, device=each.device)[:, None] + torch.arange(12, device=each.device)[None, :]) % 12
        tone = (c.tonality[:, :, turned] * weight).sum((1, 3))  # [M, 12]: a class seen from where it stands
        each = each + tone[:, torch.arange(128, device=each.device) % 12] * ~drums
        classes = torch.cat([c.candidates[..., 2], c.references[..., 0]], 1)
        valid = torch.cat([agree, c.references[..., 0] < 128], 1)
        return with_bonus(each, bonus, classes, valid)


def parameters_of(network: nn.Module) -> int:
    """How many numbers it has learned."""
    return sum(parameter.numel() for parameter in network.parameters())
