"""Baselines: counts of masks, and copying the last bar. What a trained model has to beat.

Each is a DrumModel (engines/drums/model.py) over all 512 masks; none has a vocabulary or sees style, fill or density.
Fitting is counting, so the same data always give the same baseline.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, MASKS, Bar, History, hits
from engines.drums.model import Carry, Controls
from engines.music import Meter
from engines.sampling import pick, shaped
from offline.drums.dataset import DrumDataset

NOTHING = MASKS
"""Stands for the mask before the beginning."""
VELOCITY = 95

CONTEXTS = ("previous", "before previous", "bar ago", "position")
"""What a count may be conditioned on."""

_COPY_ITERATIONS = 50


class _Baseline(ABC):
    """The parts of a DrumModel that every baseline shares; subclasses give `probabilities`."""

    styles: tuple[str, ...] = ()

    @abstractmethod
    def probabilities(self, masks: NDArray[np.uint16], steps: int, start: int = 0) -> NDArray[np.float32]:
        """Probability of each mask at each step of a piece from `start` on: [n - start, 512].

        masks: uint16 [n]; the value at a step does not bear on the row of that step. steps: steps a bar
        """

    def prime(self, history: History, controls: Controls) -> Carry:
        """None: the history is all they look at."""
        return None

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        """See DrumModel; bars of one metre."""
        masks = np.concatenate([bar.masks for bar in bars])
        return self.probabilities(masks, bars[0].meter.steps)

    def bar(
        self, history: History, carry: Carry, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, Carry]:
        """See DrumModel; every hit on its step, at one velocity. Bars of another metre count as not there."""
        steps = meter.steps
        same = history[-1:] if history and history[-1].meter == meter else ()
        masks = np.concatenate([*(bar.masks for bar in same), np.zeros(steps, np.uint16)])
        uniforms = random.random(steps)
        for step in range(len(masks) - steps, len(masks)):
            p = self.probabilities(masks[: step + 1], steps, step)[0]
            p_shaped = shaped(np.log(p), controls.temperature, controls.top_k, controls.top_p)
            masks[step] = pick(p_shaped, float(uniforms[step % steps]))
        new = masks[-steps:]
        velocity = np.where(hits(new), VELOCITY, 0).astype(np.uint8)
        return Bar(meter, new, velocity, np.zeros((steps, INSTRUMENTS), np.int16)), None


@dataclass(frozen=True, slots=True)
class _Table:
    """Counts of masks after each context: a sparse matrix of rows by context key.

    keys: int64 [K] sorted; start: int64 [K+1]; mask, count: [N], row k holds start[k]:start[k+1]; total: [K]
    """

    keys: NDArray[np.int64]
    start: NDArray[np.int64]
    mask: NDArray[np.int64]
    count: NDArray[np.float64]
    total: NDArray[np.float64]

    @classmethod
    def of(cls, keys: NDArray[np.int64], masks: NDArray[np.uint16]) -> Self:
        pairs, count = np.unique(keys * MASKS + masks, return_counts=True)
        distinct, start = np.unique(pairs // MASKS, return_index=True)
        total = np.add.reduceat(count, start).astype(np.float64)
        return cls(distinct, np.append(start, len(pairs)), pairs % MASKS, count.astype(np.float64), total)

    def refine(self, p: NDArray[np.float64], keys: NDArray[np.int64], strength: float) -> NDArray[np.float64]:
        """Mix p [n, 512] with what was counted after each key [n]; p weighs as `strength` counts (MacKay and Peto
        1995, "A hierarchical Dirichlet language model")."""
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[row] == keys
        total = np.where(found, self.total[row], 0.0)
        out = strength * p
        length = np.where(found, self.start[row + 1] - self.start[row], 0)
        step = np.repeat(np.arange(len(keys)), length)
        entry = (
            np.arange(len(step)) - np.repeat(np.cumsum(length) - length, length) + np.repeat(self.start[row], length)
        )
        out[step, self.mask[entry]] += self.count[entry]
        out /= (total + strength)[:, None]
        return out


class CountModel(_Baseline):
    """Interpolated counts: each context refines the guess of the one before it, the first refines a uniform 9 bits."""

    def __init__(self, contexts: Sequence[Sequence[str]], strength: float = 32.0) -> None:
        """contexts: from vague to precise, each a set of names in CONTEXTS; () is no context at all."""
        self.contexts = [tuple(context) for context in contexts]
        self.strength = strength
        self._tables: list[_Table] = []

    def fit(self, dataset: DrumDataset) -> Self:
        """Count. Returns self."""
        masks = [piece.masks for piece in dataset.pieces()]
        for context in self.contexts:
            keys = [self._keys(context, piece.masks, piece.steps_per_bar) for piece in dataset.pieces()]
            self._tables.append(_Table.of(np.concatenate(keys), np.concatenate(masks)))
        return self

    @staticmethod
    def _keys(context: tuple[str, ...], masks: NDArray[np.uint16], steps: int) -> NDArray[np.int64]:
        key = np.zeros(len(masks), np.int64)
        for name in context:
            key = key * 1024 + _context(name, masks, steps)
        return key

    def probabilities(self, masks: NDArray[np.uint16], steps: int, start: int = 0) -> NDArray[np.float32]:
        """See _Baseline."""
        p = np.full((len(masks) - start, MASKS), 1.0 / MASKS)
        for context, table in zip(self.contexts, self._tables, strict=True):
            p = table.refine(p, self._keys(context, masks, steps)[start:], self.strength)
        return p.astype(np.float32)


class CopyLastBar(_Baseline):
    """The mask of a bar ago with a fixed probability, else a draw from the unigram; the probability is fitted."""

    def __init__(self) -> None:
        self.share = 0.0
        self._unigram = CountModel([()])

    def fit(self, dataset: DrumDataset) -> Self:
        """Count, then find the share of copies of highest likelihood (EM). Returns self."""
        self._unigram.fit(dataset)
        base = self._unigram.probabilities(np.zeros(1, np.uint16), 16)[0].astype(np.float64)
        masks, ago = [], []
        for piece in dataset.pieces():
            masks.append(piece.masks[piece.steps_per_bar :])
            ago.append(piece.masks[: -piece.steps_per_bar])
        now, then = np.concatenate(masks), np.concatenate(ago)
        self.share = 0.5
        for _ in range(_COPY_ITERATIONS if len(now) else 0):
            copied = self.share * (now == then)
            self.share = float((copied / (copied + (1 - self.share) * base[now])).mean())
        self.share = min(max(self.share, 0.01), 0.99)
        return self

    def probabilities(self, masks: NDArray[np.uint16], steps: int, start: int = 0) -> NDArray[np.float32]:
        """See _Baseline."""
        p = self._unigram.probabilities(masks, steps, start)
        then = _ago(masks, steps)[start:]
        known = then != NOTHING
        p[known] *= np.float32(1 - self.share)
        p[known, then[known]] += np.float32(self.share)
        return p


def fit_baselines(train: DrumDataset) -> dict[str, _Baseline]:
    """Every baseline of the evaluation's table, fitted, by name."""
    lag = [(), ("bar ago",), ("bar ago", "previous"), ("bar ago", "previous", "position")]
    trigram = [(), ("position",), ("position", "previous"), ("position", "previous", "before previous")]
    return {
        "unigram": CountModel([()]).fit(train),
        "bigram": CountModel([(), ("previous",)]).fit(train),
        "positional trigram": CountModel(trigram).fit(train),
        "copy last bar": CopyLastBar().fit(train),
        "bar-ago counts": CountModel(lag).fit(train),
    }


def _context(name: str, masks: NDArray[np.uint16], steps: int) -> NDArray[np.int64]:
    """One of CONTEXTS at every step of a piece, int64 [n] below 1024."""
    if name == "position":
        return np.arange(len(masks)) % steps
    return _ago(masks, {"previous": 1, "before previous": 2, "bar ago": steps}[name])


def _ago(masks: NDArray[np.uint16], lag: int) -> NDArray[np.int64]:
    """The mask `lag` steps before each step, NOTHING before the beginning."""
    before = np.full(len(masks), NOTHING, np.int64)
    before[lag:] = masks[:-lag]
    return before
