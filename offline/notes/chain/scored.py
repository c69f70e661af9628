"""What a chain model pays for a song: a training's best weights as a Scored (offline.notes.models)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.notes.fields import Layout
from offline.notes.chain.batch import batch_of
from offline.notes.chain.checkpoint import load_checkpoint
from offline.notes.chain.config import ChainConfig
from offline.notes.chain.epoch import judging
from offline.notes.chain.sequences import Sequences
from offline.notes.chain.sequences import Song as ChainSong
from offline.notes.models import Bits, Song

if TYPE_CHECKING:
    from offline.notes.chain.network import ChainNetwork

WINDOWS = 16
"""Windows that are looked at at once."""


class ChainScored:
    """A Scored. It is told a song's genre and no control, as in half of its training."""

    reads_tokens = False

    def __init__(self, network: ChainNetwork, config: ChainConfig, genres: tuple[str, ...]) -> None:
        self._network, self._config, self._genres = network.eval(), config, genres
        self._layout = Layout(len(genres))

    @classmethod
    def load(cls, folder: Path) -> ChainScored:
        """The best weights of a training. Raises SidemanError when there are none, or they do not fit."""
        network, table = load_checkpoint(folder)
        return cls(network, table["config"], tuple(table["genres"]))

    def bits(self, song: Song) -> Bits:
        """See Scored."""
        import torch

        from offline.notes.chain.train import decisions

        genre = self._genres.index(song.genre) + 1 if song.genre in self._genres else 0
        corpus = Sequences([ChainSong(song.events, song.bars, genre, 0, song.velocity, False)], self._layout)
        windows = list(judging(corpus, self._config, [0]))
        paid = []
        with torch.inference_mode():
            for first in range(0, len(windows), WINDOWS):
                batch = batch_of(corpus, windows[first : first + WINDOWS])
                paid.append(decisions(self._network, batch, weighted=False).double().numpy() / math.log(2))
        spent = np.concatenate(paid)  # [elements, 6] of what follows each
        ending = corpus.following < 0
        notes = np.zeros((len(song.events), 6))
        notes[corpus.following[~ending]] = spent[~ending]
        return Bits.of_notes(song.events, notes, spent[ending, 0])
