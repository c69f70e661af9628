"""Epoch: random windows to learn from, and the windows that judge each element once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import PITCH, ROLE
from engines.notes.memory import CANDIDATES
from engines.notes.roles import DRUMS
from offline.notes.chain.batch import Batch, batch_of, on
from offline.notes.chain.config import ChainConfig
from offline.notes.chain.sequences import Sequences
from offline.notes.chain.window import Window


class Epoch:
    """`steps` batches of random windows; each depends on (seed, epoch, number) alone."""

    def __init__(
        self, corpus: Sequences, twins: NDArray[np.int64], config: ChainConfig, epoch: int, device: Any
    ) -> None:
        """twins: of each song, the number of its thinned version or -1; those are not drawn for themselves."""
        self._corpus, self._twins, self._config, self._epoch, self._device = corpus, twins, config, epoch, device
        own = np.flatnonzero(twins != -2)
        chance = corpus.size[own] * _lifted(corpus.source[own], corpus.size[own], config.balance)
        genre = np.array([corpus.songs[song].genre for song in own.tolist()])
        self._own, self._edges = own, _edges(chance)
        self._edges_of_genres = _edges(chance * _lifted(genre, chance, config.balance))

    def __len__(self) -> int:
        return self._config.steps

    def batch(self, index: int) -> Batch:
        """See offline.trainer.Batches."""
        config = self._config
        rng = np.random.default_rng((config.seed, self._epoch, index))
        begins = rng.random() < config.begin
        count = config.batch * config.context // config.begin_context if begins else config.batch
        windows = [self._window(rng, begins) for _ in range(count)]
        return on(batch_of(self._corpus, windows, config.offset_weight), self._device)

    def _window(self, rng: np.random.Generator, begins: bool) -> Window:
        """begins: as if the song began there, and each genre more as often as the others."""
        config, corpus = self._config, self._corpus
        place = int(np.searchsorted(self._edges_of_genres if begins else self._edges, rng.random()))
        song = int(self._own[min(place, len(self._own) - 1)])
        if self._twins[song] >= 0 and rng.random() < config.thin:
            song = int(self._twins[song])
        context = config.begin_context if begins else config.context
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        reachable = bars[bars <= max(0, size - context)]
        late = rng.random() >= 0.1
        first = int(reachable[int(rng.integers(len(reachable)))]) if late else 0
        last = min(first + context, size)
        loud = -1 if rng.random() < config.hide_velocity else int(rng.integers(3, 7)) if rng.random() < 0.5 else 0
        lost = rng.random(CANDIDATES) < config.lose_lane
        fresh = bool(rng.random() < config.fresh) or begins
        return Window(song, first, last, first, self._shift(song, rng), rng.random() >= config.hide_genre,
                      self._told(rng, len(bars), self._twins[song] == -2), loud, lost if lost.any() else None,
                      fresh, config.wrong_note, int(rng.integers(1 << 31)))  # fmt: skip

    def _shift(self, song: int, rng: np.random.Generator) -> int:
        events = self._corpus.songs[song].events
        shift = int(rng.integers(self._config.lowest, self._config.highest + 1))
        pitch = events[events[:, ROLE] != DRUMS, PITCH]
        fits = len(pitch) and int(pitch.min()) + shift >= 0 and int(pitch.max()) + shift <= 127
        return shift if fits else 0

    def _told(self, rng: np.random.Generator, bars: int, thinned: bool) -> NDArray[np.bool_] | None:
        """[bars, 6]: density, polyphony, register, root, quality and who plays, which a thinned piece always says.

        Otherwise a genre would be learned as one that often goes without its drums.
        """
        kinds = rng.random(5) < 0.5 if rng.random() < self._config.tell else np.zeros(5, np.bool_)
        told: NDArray[np.bool_] = kinds[None, :] & (rng.random((bars, 5)) < 0.85)
        told[:, 4] = kinds[4] or thinned
        return told[:, [0, 1, 2, 3, 3, 4]] if told.any() else None


def _lifted(kind: NDArray[np.int64], size: NDArray[Any], balance: float) -> NDArray[np.float64]:
    """What to weigh songs [N] by: at balance 0 nothing, at 1 so that each kind of them weighs as much as another."""
    totals = np.bincount(kind, size)
    share: NDArray[np.float64] = np.where(totals > 0, np.maximum(totals, 1e-9) ** -balance, 0.0)[kind]
    return share


def _edges(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(chance / chance.sum())


def beginning(corpus: Sequences, config: ChainConfig, songs: Sequence[int]) -> Iterator[Window]:
    """Windows that judge how each of the songs begins anew from its middle, with nothing before it."""
    for song in songs:
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        first = int(bars[len(bars) // 2])
        yield Window(song, first, min(first + config.begin_context, size), first, fresh=True)


def judging(corpus: Sequences, config: ChainConfig, songs: Sequence[int]) -> Iterator[Window]:
    """Windows that judge each element of the songs once, with at least about half a context before it."""
    for song in songs:
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        done = 0
        while done < size:
            wanted = max(0, done - config.context // 2)
            first = int(bars[bars <= wanted][-1])
            last = min(first + config.context, size)
            if last <= done:  # a bar longer than half the context
                first, last = done, min(done + config.context, size)
            yield Window(song, first, last, done)
            done = last
