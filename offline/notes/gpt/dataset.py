"""Windows of REMI tokens: what the flat GPT reads in training, and the same ones every time for validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from offline.notes.gpt.config import GptConfig

if TYPE_CHECKING:
    import torch

PAD, BOS = "PAD_None", "BOS_None"
GENRE, BAR, PITCH, PROGRAM = "Genre_", "Bar_", "Pitch_", "Program_"
DRUM_PROGRAM = "Program_-1"
LOW, HIGH = -5, 6
"""Semitones that a window is transposed by, at most."""
IGNORED = -100
"""The target that cross-entropy leaves out."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Pieces of one split.

    words:  each token's name, in miditok's spelling
    tokens: uint16 [N] of all pieces, one after another, without any beginning, end or genre
    starts: int64 [P + 1] where each piece begins, and the end
    genre:  uint16 [P] each piece's genre token
    """

    words: tuple[str, ...]
    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    genre: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.starts) - 1


class Windows:
    """Windows of `sequence` tokens: [beginning, genre, ...], each from the first token of a bar.

    Padding in the genre's place says that it is not known.
    """

    def __init__(self, data: Tokens, sequence: int) -> None:
        self.data, self.sequence = data, sequence
        self.pad, self.bos = data.words.index(PAD), data.words.index(BOS)
        self._transposed = transpositions(data.words)
        self._drums = data.words.index(DRUM_PROGRAM) if DRUM_PROGRAM in data.words else -1
        is_bar = np.array([word.startswith(BAR) for word in data.words], bool)
        self._bars = np.flatnonzero(is_bar[data.tokens])
        self._last = data.starts[1:] - (sequence - 2)  # a window from here on ends with its piece

    def drawn(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Where so many windows begin: a token of all is drawn, and the bar that holds it; never so near to a piece's
        end that the window would be short, unless the piece is.
        """
        at = random.integers(0, len(self.data.tokens), count)
        piece = self._piece(at)
        at = np.maximum(np.minimum(at, self._last[piece]), self.data.starts[piece])
        bar = self._bars[np.maximum(np.searchsorted(self._bars, at, side="right") - 1, 0)]
        return np.maximum(bar, self.data.starts[piece])

    def spread(self, count: int) -> NDArray[np.int64]:
        """The beginnings of so many pieces, or of all, evenly spread."""
        chosen = np.unique(np.linspace(0, len(self.data) - 1, min(count, len(self.data))).round().astype(np.int64))
        return self.data.starts[chosen]

    def rows(self, begin: NDArray[np.int64], semitones: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """[len(begin), sequence] tokens, padded at the end. semitones: each row is transposed by; drums are not."""
        out = np.full((len(begin), self.sequence), self.pad, np.int64)
        for row, (first, piece) in enumerate(zip(begin, self._piece(begin), strict=True)):
            last = min(first + self.sequence - 2, self.data.starts[piece + 1])
            out[row, 0], out[row, 1] = self.bos, self.data.genre[piece]
            out[row, 2 : 2 + last - first] = self.data.tokens[first:last]
        if semitones is not None:
            moved = self._transposed[semitones[:, None] - LOW, out]
            drum = np.zeros(out.shape, bool)
            drum[:, 1:] = out[:, :-1] == self._drums
            whole = np.logical_and.reduce((moved >= 0) | drum, axis=1)  # else out of range
            out = np.where(whole[:, None] & ~drum, moved, out)
        return out

    def _piece(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.data.starts, at, side="right") - 1


def transpositions(words: tuple[str, ...]) -> NDArray[np.int64]:
    """[HIGH - LOW + 1, V]: the token that each becomes when moved by LOW to HIGH semitones, -1 where there is none."""
    number = {word: i for i, word in enumerate(words)}
    table = np.tile(np.arange(len(words)), (HIGH - LOW + 1, 1))
    for i, word in enumerate(words):
        if word.startswith(PITCH):
            pitch = int(word.removeprefix(PITCH))
            table[:, i] = [number.get(f"{PITCH}{pitch + move}", -1) for move in range(LOW, HIGH + 1)]
    return table


class GptEpoch:
    """An epoch of drawn windows; see offline.trainer.Batches."""

    def __init__(self, windows: Windows, config: GptConfig, epoch: int, device: torch.device) -> None:
        self._windows, self._batch, self._device = windows, config.batch, device
        random = np.random.default_rng((config.seed, epoch))
        self._begin = windows.drawn(random, config.windows)
        self._semitones = random.integers(LOW, HIGH + 1, config.windows) * config.transpose
        self._hidden = random.random(config.windows) < config.hide_genre

    def __len__(self) -> int:
        return math.ceil(len(self._begin) / self._batch)

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What is read and what is to come, int64 [B, sequence - 1] each."""
        rows = slice(index * self._batch, (index + 1) * self._batch)
        tokens = self._windows.rows(self._begin[rows], self._semitones[rows])
        tokens[self._hidden[rows], 1] = self._windows.pad
        return pairs(tokens, self._windows.pad, self._device)


def pairs(rows: NDArray[np.int64], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read and what is to come of rows of tokens; the genre is given, not guessed, and padding is no music."""
    import torch

    target = rows[:, 1:].copy()
    target[:, 0] = IGNORED
    target[target == pad] = IGNORED
    return torch.from_numpy(rows[:, :-1].copy()).to(device), torch.from_numpy(target).to(device)
