"""Epochs of the groove model: features of whole pieces made anew, from pieces that are changed a little every time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.drums.bar import INSTRUMENTS, MASKS
from engines.drums.features import (
    DRUM_SPANS,
    NO_MUSIC,
    SCALE,
    STEPS_MAX,
    STEPS_MIN,
    WHOLE,
    Tables,
    context,
    controlled,
    tables,
)
from engines.drums.humaniser import LAGS, UNIT, Played, bins_of, hits_alone, parts_of_means, tempo
from engines.errors import SidemanError
from engines.music import STEP_TICKS, Meter
from offline.drums.dataset import DrumDataset

BAR_PHASE = slice(3 * STEPS_MAX + 4, 3 * STEPS_MAX + 12)
"""Where a context row holds the bar number modulo 8."""

FORGET_BARS = 8

CLOSED_HAT, OPEN_HAT, TOMS, CRASH, RIDE = 2, 3, (4, 5, 6), 7, 8


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training pieces are changed, as probabilities."""

    forget: float = 0.4  # a piece is cut in parts, of 8 bars on average, that do not know what came before
    lose_instrument: float = 0.08  # a piece is played without one of its instruments
    wrong_hit: float = 0.03  # a step of the past was heard with one instrument's hit changed
    swap: float = 0.25  # a step is played, past and all, with ride and hat, the toms, or open hat and crash exchanged
    lose_lag: float = 0.05  # a mask of the past is not heard
    hide_style: float = 0.2  # the style is not told
    hide_fill: float = 0.25  # nor whether it is a fill
    tell_density: float = 0.25  # the density of the bar is told
    hide_bar: float = 0.2  # the number of the bar is not told


@dataclass(frozen=True, slots=True)
class Corpus:
    """A data set as the groove model takes it; S steps.

    context: uint8 [S, CONTEXT]; style: index + 1, 0 unknown; fill: 0 unknown, 1 beat, 2 fill; density: of the step's
    bar as a quantile; piece_steps: steps a bar [P]
    """

    dataset: DrumDataset
    styles: tuple[str, ...]
    piece_steps: NDArray[np.int64]
    context: Tensor
    style: Tensor
    fill: Tensor
    density: Tensor

    @classmethod
    def of(cls, dataset: DrumDataset, styles: tuple[str, ...], quantiles: NDArray[np.float64]) -> Corpus:
        """Pieces in metres the model plays. quantiles: from `density_quantiles` of the training data."""
        dataset = dataset.select(playable(dataset))
        steps = piece_steps(dataset)
        lengths = np.diff(dataset.piece_start)
        rows = []
        for (top, bottom), n, length in zip(dataset.piece_meter, steps, lengths, strict=True):
            meter = Meter(int(top), int(bottom))
            rows += [context(meter, bar) for bar in range(int(length // n))]
        index = {style: i + 1 for i, style in enumerate(styles)}
        style = np.array([index.get(str(name), 0) for name in dataset.piece_style])
        per_step, bar_steps = _bar_density(dataset, steps)
        density = np.interp(per_step, quantiles, np.linspace(0.0, 1.0, len(quantiles)))
        return cls(
            dataset,
            styles,
            steps,
            torch.from_numpy(np.concatenate(rows).astype(np.uint8)),
            torch.from_numpy(np.repeat(style, lengths)),
            torch.from_numpy(np.repeat(dataset.piece_fill.astype(np.int64) + 1, lengths)),
            torch.from_numpy(np.repeat(density, bar_steps).astype(np.float32)),
        )

    def __len__(self) -> int:
        """Steps."""
        return len(self.dataset.masks)

    def controls(self, rows: Tensor, told: Tensor) -> Tensor:
        """Rows as engines.drums.features.controlled: [n, styles + 6]. told: bool [3, n]; style, fill, density."""
        count = len(self.styles)
        table = torch.from_numpy(np.stack([controlled(i - 1, count, None, None) for i in range(count + 1)]))
        result = table[self.style[rows] * told[0]]
        place = len(self.styles)
        result[:, place] = 0.0
        result[torch.arange(len(rows)), place + self.fill[rows] * told[1]] = 1.0
        density, known = self.density[rows], told[2].float()
        result[:, place + 3] = known
        result[:, place + 4] = known * density
        result[:, place + 5] = known * density * density
        return result


def playable(dataset: DrumDataset) -> NDArray[np.bool_]:
    """Which pieces are in a metre of the model."""
    top, bottom = dataset.piece_meter.T.astype(np.int64)
    steps = top * 16 // bottom
    is_it: NDArray[np.bool_] = (steps * bottom == top * 16) & (steps >= STEPS_MIN) & (steps <= STEPS_MAX)
    return is_it


def piece_steps(dataset: DrumDataset) -> NDArray[np.int64]:
    """Steps a bar of each piece."""
    steps: NDArray[np.int64] = dataset.piece_meter[:, 0].astype(np.int64) * 16 // dataset.piece_meter[:, 1]
    return steps


def _bar_density(dataset: DrumDataset, steps: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Hits a step of every bar, and the steps of every bar."""
    bar_steps = np.repeat(steps, np.diff(dataset.piece_start) // steps)
    edges = np.concatenate([[0], np.cumsum(bar_steps)[:-1]])
    hits = np.add.reduceat((dataset.velocity > 0).sum(axis=1), edges)
    return hits / bar_steps, bar_steps


def density_quantiles(dataset: DrumDataset) -> NDArray[np.float64]:
    """Hits a step of bars at the quantiles 0, .05 ... 1, made strictly rising."""
    dataset = dataset.select(playable(dataset))
    density, _ = _bar_density(dataset, piece_steps(dataset))
    return np.quantile(density, np.linspace(0.0, 1.0, 21)) + np.arange(21) * 1e-9


class Swaps:
    """Exchanges of instruments that leave music music, the first changing nothing.

    tables: each one's masks, [count, 513]
    agreements: where its numbers of Tables.agreement come from, [count, AGREEMENTS]
    """

    def __init__(self, random: np.random.Generator, count: int = 32) -> None:
        orders = [np.arange(INSTRUMENTS)]
        for _ in range(count - 1):
            order = np.arange(INSTRUMENTS)
            if random.random() < 0.5:
                order[[CLOSED_HAT, RIDE]] = RIDE, CLOSED_HAT
            if random.random() < 0.6:
                order[list(TOMS)] = random.permutation(TOMS)
            if random.random() < 0.3:
                order[[OPEN_HAT, CRASH]] = CRASH, OPEN_HAT
            orders.append(order)
        bits = (np.arange(MASKS)[:, None] >> np.arange(INSTRUMENTS)) & 1
        tables_ = [np.append((bits << order).sum(axis=1), NO_MUSIC) for order in orders]
        self.tables = torch.from_numpy(np.stack(tables_))
        whole = np.arange(WHOLE)
        drums = [WHOLE + span * INSTRUMENTS + np.argsort(orders, axis=1) for span in range(len(DRUM_SPANS))]
        self.agreements = torch.from_numpy(np.concatenate([np.tile(whole, (count, 1)), *drums], axis=1))


@dataclass(frozen=True, slots=True)
class StepBatch:
    """See engines.drums.features.Tables; mask: what was played, int64 [B]."""

    past: Tensor
    copies: Tensor
    agreement: Tensor
    context: Tensor
    mask: Tensor


class StepEpoch:
    """One epoch of steps in random order, each piece changed as `augmentation` says (offline.trainer.Batches)."""

    def __init__(
        self, corpus: Corpus, augmentation: Augmentation, size: int, seed: tuple[int, int], device: torch.device
    ) -> None:
        """size: steps in a batch; seed: of the training, and the epoch."""
        random = np.random.default_rng(seed)
        heard, played = _changed(corpus.dataset, augmentation, random)
        self.corpus, self.augmentation, self.size, self.seed, self.device = corpus, augmentation, size, seed, device
        self._made = _tensors(tables(heard, *_parts(corpus, augmentation.forget, random)))
        self._mask = torch.from_numpy(played.astype(np.int64))
        self._order = torch.from_numpy(random.permutation(len(played)))
        self._swaps = Swaps(random)

    def __len__(self) -> int:
        """Whole batches."""
        return max(1, len(self._order) // self.size)

    def batch(self, index: int) -> StepBatch:
        """Batch `index`, the same whenever it is asked for."""
        random = torch.Generator().manual_seed(hash((*self.seed, index)) & 0x7FFFFFFF)
        told = self.augmentation
        rows = self._order[index * self.size : (index + 1) * self.size]
        n = len(rows)

        def chance(p: float, *shape: int) -> Tensor:
            return torch.rand(shape, generator=random) < p

        past, copies, agreement = (part[rows] for part in self._made)
        swap = torch.randint(len(self._swaps.tables), (n,), generator=random) * chance(told.swap, n)
        masks = self._swaps.tables
        past, copies = masks[swap[:, None], past.long()], masks[swap[:, None], copies.long()]
        mask = masks[swap, self._mask[rows]]
        agreement = agreement.gather(2, self._swaps.agreements[swap, None].expand_as(agreement))
        past = past.masked_fill(chance(told.lose_lag, *past.shape), NO_MUSIC)
        place = self.corpus.context[rows].float()
        place[:, BAR_PHASE] *= ~chance(told.hide_bar, n, 1)
        hidden = torch.stack([chance(told.hide_style, n), chance(told.hide_fill, n), ~chance(told.tell_density, n)])
        row = torch.cat([place, self.corpus.controls(rows, ~hidden)], dim=1)
        parts = (past, copies, agreement * torch.from_numpy(SCALE), row, mask)
        return StepBatch(*(part.to(self.device) for part in parts))


def _parts(corpus: Corpus, forget: float, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where pieces and the parts of pieces that are cut start, with the end of all, and the steps a bar of each."""
    first, steps = corpus.dataset.piece_start, corpus.piece_steps
    piece = np.repeat(np.arange(len(steps)), np.diff(first) // steps)
    bars = np.concatenate([[0], np.cumsum(steps[piece])[:-1]])
    starts = (random.random(len(steps)) < forget)[piece] & (random.random(len(bars)) < 1 / FORGET_BARS)
    starts |= np.isin(bars, first)
    return np.append(bars[starts], first[-1]), steps[piece[starts]]


def _changed(
    dataset: DrumDataset, told: Augmentation, random: np.random.Generator
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The masks of all pieces as they are heard, and as they are to be played."""
    lengths = np.diff(dataset.piece_start)
    lost = (random.random(len(lengths)) < told.lose_instrument) * (1 << random.integers(INSTRUMENTS, size=len(lengths)))
    played = dataset.masks & ~np.repeat(lost, lengths).astype(np.uint16)
    wrong = random.random(len(played)) < told.wrong_hit
    flipped = (1 << random.integers(INSTRUMENTS, size=len(played))).astype(np.uint16)
    return np.where(wrong, played ^ flipped, played), played


def _tensors(made: Tables) -> tuple[Tensor, Tensor, Tensor]:
    return torch.from_numpy(made.past), torch.from_numpy(made.copies), torch.from_numpy(made.agreement)


class StepScore:
    """Teacher-forced log-probabilities of a whole corpus, its features made once."""

    def __init__(self, corpus: Corpus, device: torch.device, size: int = 4096) -> None:
        self.corpus, self.device, self.size = corpus, device, size
        self._made = _tensors(tables(corpus.dataset.masks, corpus.dataset.piece_start, corpus.piece_steps))
        self._mask = torch.from_numpy(corpus.dataset.masks.astype(np.int64))

    def batches(self) -> list[StepBatch]:
        """In order, style and fill told, density not."""
        return [self._batch(first) for first in range(0, len(self.corpus), self.size)]

    def _batch(self, first: int) -> StepBatch:
        rows = torch.arange(first, min(first + self.size, len(self.corpus)))
        told = torch.tensor([True, True, False])[:, None].expand(3, len(rows))
        place = torch.cat([self.corpus.context[rows].float(), self.corpus.controls(rows, told)], dim=1)
        past, copies, agreement = (part[rows] for part in self._made)
        parts = (past.long(), copies.long(), agreement * torch.from_numpy(SCALE), place, self._mask[rows])
        return StepBatch(*(part.to(self.device) for part in parts))


@dataclass(frozen=True, slots=True)
class FeelAugmentation:
    """How the playing that the humaniser learns from is changed."""

    hide_past: float = 0.3  # probability that velocities and offsets of the past are not known
    lose_lag: float = 0.1  # that the playing of one step of the past is not
    louder: float = 0.1  # spread of the log of a factor of all velocities, where the past is known
    later: float = 6.0  # spread of ticks added to all offsets, where the past is known


@dataclass(frozen=True, slots=True)
class FeelBatch:
    """See engines.drums.humaniser; bins: int64 [B, 2, 9]; on: which instruments were hit, bool [B, 9]."""

    around: Tensor
    heard: Tensor
    means: Tensor
    context: Tensor
    bins: Tensor
    on: Tensor


class FeelData:
    """The steps with hits of the pieces that people played."""

    def __init__(self, corpus: Corpus, sources: tuple[str, ...], device: torch.device) -> None:
        """sources: how the names of sources begin whose velocities and offsets are worth learning; if the data has none
        of them, all are taken. Raises SidemanError if nothing is left."""
        dataset = corpus.dataset
        human = np.array([str(name).startswith(sources) for name in dataset.piece_source], bool)
        if not human.any():
            human[:] = True
        lengths = np.diff(dataset.piece_start)
        self.rows = np.flatnonzero((dataset.masks > 0) & np.repeat(human, lengths))
        if not len(self.rows):
            raise SidemanError("the data set has no hits to learn velocity and timing from")
        self.corpus, self.device = corpus, device
        self._tempo = torch.from_numpy(
            np.repeat(np.stack([tempo(float(b)) for b in dataset.piece_bpm]), lengths, axis=0)
        )
        self.played = Played.of(
            dataset.masks, dataset.velocity, dataset.offset, dataset.piece_start, corpus.piece_steps
        )

    def batch(
        self,
        rows: NDArray[np.int64],
        whole_piece: bool,
        told: Tensor,
        knows_past: NDArray[np.bool_],
        other: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> FeelBatch:
        """told: bool [3, n]: style, fill, tempo; knows_past: bool [n], else velocities and offsets are hidden.

        other: a factor of all velocities and ticks added to all offsets [n], where the past is known: another player.
        """
        dataset, index = self.corpus.dataset, torch.from_numpy(rows)
        known = knows_past[:, None]
        heard, means = self.played.heard(rows), self.played.means(rows)
        velocity, offset = dataset.velocity[rows], dataset.offset[rows]
        if other is not None:
            louder = np.where(known, other[0][:, None], 1.0).astype(np.float32)
            later = np.where(known, other[1][:, None], 0.0).astype(np.float32)
            _change_past(heard, means, louder, later / UNIT)
            velocity = np.where(velocity > 0, np.clip(np.rint(velocity * louder), 1, 127), 0).astype(np.uint8)
            offset = np.clip(np.rint(offset + later), -STEP_TICKS // 2, STEP_TICKS // 2 - 1).astype(np.int16)
        controls = self.corpus.controls(index, told)[:, :-3]
        tempo_told = self._tempo[index] * told[2, :, None]
        parts = (
            torch.from_numpy(self.played.around(rows, whole_piece)),
            torch.from_numpy(heard * known),
            torch.from_numpy(np.where(known, means, hits_alone(means))),
            torch.cat([self.corpus.context[index].float(), controls, tempo_told], dim=1),
            torch.from_numpy(bins_of(velocity, offset)),
            torch.from_numpy(dataset.velocity[rows] > 0),
        )
        return FeelBatch(*(part.to(self.device) for part in parts))


def _change_past(
    heard: NDArray[np.float32], means: NDArray[np.float32], louder: NDArray[np.float32], later: NDArray[np.float32]
) -> None:
    """Make what was heard, and its means, louder by a factor [n, 1] and later by a share of the range [n, 1]."""
    steps = heard.reshape(len(heard), LAGS, 2, INSTRUMENTS)
    steps[:, :, 1] += later[:, None] * (steps[:, :, 0] > 0)
    steps[:, :, 0] *= louder[:, None]
    for part in parts_of_means(means):
        part[:, :, 1] += later[:, None] * (part[:, :, 2] > 0)
        part[:, :, 0] *= louder[:, None]


class FeelEpoch:
    """One epoch of steps with hits in random order (offline.trainer.Batches)."""

    def __init__(self, data: FeelData, told: FeelAugmentation, size: int, seed: tuple[int, int]) -> None:
        """seed: as in StepEpoch."""
        self.data, self.told, self.size, self.seed = data, told, size, seed
        self._order = np.random.default_rng(seed).permutation(data.rows)

    def __len__(self) -> int:
        """Whole batches."""
        return max(1, len(self._order) // self.size)

    def batch(self, index: int) -> FeelBatch:
        """Batch `index`, the same whenever it is asked for; every other one looks no further than its bar."""
        random = np.random.default_rng((*self.seed, index))
        rows = self._order[index * self.size : (index + 1) * self.size]
        n = len(rows)
        told = torch.from_numpy(random.random((3, n)) > 0.3)
        louder = np.exp(self.told.louder * random.standard_normal(n)).astype(np.float32)
        later = (self.told.later * random.standard_normal(n)).astype(np.float32)
        knows_past = random.random(n) > self.told.hide_past
        made = self.data.batch(rows, index % 2 == 0, told, knows_past, (louder, later))
        if self.told.lose_lag:
            keep = random.random((n, LAGS, 1)) >= self.told.lose_lag
            heard = made.heard.reshape(n, LAGS, -1) * torch.from_numpy(keep).to(made.heard.device)
            made = replace(made, heard=heard.reshape(n, -1))
        return made
