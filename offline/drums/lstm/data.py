"""Pieces as the seed's LSTM reads them: tokens of 4/4 bars, cut into sequences, and the kit's median touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS
from engines.drums.model import ANY_STYLE
from engines.errors import SidemanError
from engines.music import Meter
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.vocabulary import Vocabulary

BAR = 16
"""Steps of the only bar the network knows, 4/4."""

STYLE_PIECES_MIN = 8
"""A style with fewer training pieces is taken as "any": there is too little to learn it from."""

FEEL_HITS_MIN = 24
"""Below this many hits of an instrument at a place in the bar, its median over all places is used."""

DEFAULT_VELOCITY = 95


@dataclass(frozen=True, slots=True)
class Sequences:
    """N sequences of up to T steps, padded at the end.

    read:    int32 [N, T], the token one step before; the vocabulary's size at the start of a sequence
    say:     int32 [N, T], the token to be predicted
    weight:  float32 [N, T], 0 where padded
    style:   int32 [N, 1]
    """

    read: NDArray[np.int32]
    say: NDArray[np.int32]
    weight: NDArray[np.float32]
    style: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.say)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pieces as tokens.

    pieces:     tokens of each, int32 [S], S a multiple of 16
    styles:     index of each piece's style, 0 for any
    vocabulary: tokens, UNK included
    """

    pieces: tuple[NDArray[np.int32], ...]
    styles: tuple[int, ...]
    vocabulary: int

    @classmethod
    def of(cls, pieces: Sequence[Piece], vocabulary: Vocabulary, styles: Sequence[str]) -> Corpus:
        """Encode pieces; styles: the names, "any" first."""
        token_of = vocabulary.token_of_mask().astype(np.int32)
        index = {name: i for i, name in enumerate(styles)}
        return cls(
            tuple(token_of[piece.masks] for piece in pieces),
            tuple(index.get(piece.style, 0) for piece in pieces),
            len(vocabulary),
        )

    @property
    def steps(self) -> int:
        """Steps of all pieces."""
        return sum(len(piece) for piece in self.pieces)

    def sequences(self, bars: int, random: np.random.Generator | None = None) -> Sequences:
        """Cut every piece into sequences of at most `bars` bars.

        random: begins each piece with a shorter sequence, so that the cuts fall elsewhere in every epoch
        """
        length = bars * BAR
        cuts: list[tuple[int, int, int]] = []
        for p, piece in enumerate(self.pieces):
            first = length if random is None else BAR * int(random.integers(1, bars + 1))
            edges = [0, *range(min(first, len(piece)), len(piece), length), len(piece)]
            cuts += [(p, a, b) for a, b in pairwise(edges) if b > a]
        read = np.full((len(cuts), length), self.vocabulary, np.int32)
        say = np.zeros((len(cuts), length), np.int32)
        weight = np.zeros((len(cuts), length), np.float32)
        for row, (p, a, b) in enumerate(cuts):
            say[row, : b - a] = self.pieces[p][a:b]
            weight[row, : b - a] = 1.0
        read[:, 1:] = say[:, :-1]
        style = np.array([[self.styles[p]] for p, _, _ in cuts], np.int32)
        return Sequences(read, say, weight, style)


def swapped(read: NDArray[np.int32], probability: float, random: np.random.Generator) -> NDArray[np.int32]:
    """A copy of sequences [N, T] in which tokens have changed places with the next one.

    Only what the network reads is disturbed, not what it has to say: it learns to trust no single step, as it must
    when it reads its own. The first column, the start, stays.
    """
    out = read.copy()
    chosen = random.random((read.shape[0], max(read.shape[1] - 2, 0))) < probability
    for row, i in np.argwhere(chosen):
        out[row, i + 1], out[row, i + 2] = out[row, i + 2], out[row, i + 1]
    return out


def chosen_pieces(dataset: DrumDataset, sources: Sequence[str], where: str) -> list[Piece]:
    """The commercial-friendly 4/4 pieces from sources that start with one of the words; none: all.

    Raises SidemanError when there is none.
    """
    common = Meter(4, 4)
    pieces = [
        piece
        for piece in dataset.pieces()
        if piece.meter == common and not piece.nc and (not sources or piece.source.startswith(tuple(sources)))
    ]
    if not pieces:
        wanted = " or ".join(sources) or "any source"
        raise SidemanError(f"{where} has no 4/4 piece from {wanted}; choose another config, or set its sources to []")
    return pieces


def styles_of(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """ "any", then the styles with enough pieces to learn from, by name."""
    counts = Counter(piece.style for piece in pieces if piece.style and piece.style != ANY_STYLE)
    return (ANY_STYLE, *sorted(style for style, count in counts.items() if count >= STYLE_PIECES_MIN))


def feel_of(pieces: Sequence[Piece]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Median velocity and offset (ticks) of each instrument at each place of the bar: int64 [16, 9] each.

    The network says which drums are hit, not how. Pieces that lie on the grid to the tick were programmed and are left
    out where others exist.
    """
    played = [piece for piece in pieces if piece.offset.any()] or list(pieces)
    velocity = np.concatenate([piece.velocity for piece in played]).reshape(-1, BAR, INSTRUMENTS)
    offset = np.concatenate([piece.offset for piece in played]).reshape(-1, BAR, INSTRUMENTS)
    medians = np.full((BAR, INSTRUMENTS), DEFAULT_VELOCITY, np.int64), np.zeros((BAR, INSTRUMENTS), np.int64)
    for instrument in range(INSTRUMENTS):
        on = velocity[:, :, instrument] > 0
        if not on.any():
            continue
        for step in range(BAR):
            here = np.zeros_like(on)
            here[:, step] = on[:, step]
            hits = here if here.sum() >= FEEL_HITS_MIN else on
            for median, values in zip(medians, (velocity, offset), strict=True):
                median[step, instrument] = round(float(np.median(values[:, :, instrument][hits])))
    return medians
