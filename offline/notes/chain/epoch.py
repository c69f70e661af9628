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
        totals = np.bincount(corpus.source[own], corpus.size[own])
        share = np.where(totals > 0, np.maximum(totals, 1.0) ** -config.balance, 0.0)
        chance = corpus.size[own] * share[corpus.source[own]]
        self._own, self._edges = own, np.cumsum(chance / chance.sum())

    def __len__(self) -> int:
        return self._config.steps

    def batch(self, index: int) -> Batch:
        """See offline.trainer.Batches."""
        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        windows = [self._window(rng) for _ in range(self._config.batch)]
        return on(batch_of(self._corpus, windows, self._config.offset_weight, self._config.begin_weight), self._device)

    def _window(self, rng: np.random.Generator) -> Window:
        config, corpus = self._config, self._corpus
        place = int(np.searchsorted(self._edges, rng.random()))
        song = int(self._own[min(place, len(self._own) - 1)])
        if self._twins[song] >= 0 and rng.random() < config.thin:
            song = int(self._twins[song])
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        reachable = bars[bars <= max(0, size - config.context)]
        late = rng.random() >= 0.1
        first = int(reachable[int(rng.integers(len(reachable)))]) if late else 0
        last = min(first + config.context, size)
        loud = -1 if rng.random() < config.hide_velocity else int(rng.integers(3, 7)) if rng.random() < 0.5 else 0
        lost = rng.random(CANDIDATES) < config.lose_lane
        fresh = bool(rng.random() < config.fresh)
        return Window(song, first, last, first, self._shift(song, rng), rng.random() >= config.hide_genre,
                      self._told(rng, len(bars)), loud, lost if lost.any() else None,
                      fresh, config.wrong_note, int(rng.integers(1 << 31)))  # fmt: skip

    def _shift(self, song: int, rng: np.random.Generator) -> int:
        events = self._corpus.songs[song].events
        shift = int(rng.integers(self._config.lowest, self._config.highest + 1))
        pitch = events[events[:, ROLE] != DRUMS, PITCH]
        fits = len(pitch) and int(pitch.min()) + shift >= 0 and int(pitch.max()) + shift <= 127
        return shift if fits else 0

    def _told(self, rng: np.random.Generator, bars: int) -> NDArray[np.bool_] | None:
        """[bars, 6]: density, polyphony, register, root, quality and who plays."""
        if rng.random() >= self._config.tell:
            return None
        kinds = rng.random(5) < 0.5
        told: NDArray[np.bool_] = kinds[None, :] & (rng.random((bars, 5)) < 0.85)
        told[:, 4] = kinds[4]
        return told[:, [0, 1, 2, 3, 3, 4]]


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
