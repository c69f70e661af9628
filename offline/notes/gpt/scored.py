"""What a flat GPT pays for a song: a training's best weights as a Scored (offline.notes.models)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import SidemanError
from offline.notes.gpt.data import HEAD
from offline.notes.models import Bits, Song
from offline.notes.streams import seed_of

if TYPE_CHECKING:
    from offline.notes.gpt.network import GptNetwork


class GptScored:
    """A Scored. A song that is longer than the window is read in windows that overlap by half."""

    reads_tokens = True

    def __init__(self, network: GptNetwork, words: tuple[str, ...], window: int) -> None:
        """words: the name of each token; window: tokens it reads at once."""
        self.words = words
        self._network, self._window, self._stream = network.eval(), window, seed_of(words)

    @classmethod
    def load(cls, folder: Path) -> GptScored:
        """The best weights of a training. Raises SidemanError as load_checkpoint does."""
        from offline.notes.gpt.config import read_hparams
        from offline.notes.gpt.train import load_checkpoint

        network, _ = load_checkpoint(folder)
        table = read_hparams(folder)
        return cls(network, tuple(table["vocabulary"]), table["config"].sequence)

    def bits(self, song: Song) -> Bits:
        """See Scored. Raises SidemanError for a song whose tokens are not of this vocabulary."""
        import torch
        from torch.nn import functional

        stream = self._stream(song)
        tokens = stream.tokens
        given = np.zeros(0, np.int64) if song.tokens is None else song.tokens[:HEAD].astype(np.int64)
        if song.tokens is None or len(given) + len(tokens) != len(song.tokens):
            raise SidemanError(f"{song.path}: its tokens do not begin with BOS and a genre; prepare the data again")
        bits, done, room = np.zeros(len(tokens)), 0, self._window - HEAD
        with torch.inference_mode():
            while done < len(tokens):
                first = max(0, min(done, done - room // 2))
                last = min(first + room, len(tokens))
                row = torch.from_numpy(np.concatenate([given, tokens[first:last]]))
                logits = self._network(row[None, :-1])[0, HEAD - 1 :].float()
                nats = functional.cross_entropy(logits, row[HEAD:], reduction="none").numpy()
                bits[done:last] = nats[done - first :] / math.log(2)
                done = last
        return Bits(bits, stream.field, stream.drum, stream.notes)
