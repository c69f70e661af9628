"""Baselines: what codes cost that knows how often each is, and which follows which. A decoder has to beat both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offline.musicgen.decoder.codes import Codes

SMOOTHINGS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Occurrences that the unigram counts for behind each code, in the bigram: the best of these is told."""

ADDED = 0.5
"""To the count of each code, for those that never came."""

Numbers = NDArray[np.int64]


def unigram(learn: Sequence[Codes], judged: Sequence[Codes], codes: int) -> NDArray[np.float64]:
    """Mean bits of a code [N, books] of each judged clip [books, frames], by how often the book has it in `learn`."""
    tables = [_shares(learn, book, codes) for book in range(len(learn[0]))]
    return np.array([[-np.log2(table[clip[book]]).mean() for book, table in enumerate(tables)] for clip in judged])


def bigram(learn: Sequence[Codes], judged: Sequence[Codes], codes: int) -> NDArray[np.float64]:
    """The same, told the code before of the same book (of a clip's first, nothing).

    Counts with the unigram mixed in, at the smoothing that suits the judged clips best.
    """
    return np.stack([_of_book(learn, judged, book, codes) for book in range(len(learn[0]))], axis=1)


def _of_book(learn: Sequence[Codes], judged: Sequence[Codes], book: int, codes: int) -> NDArray[np.float64]:
    single = _shares(learn, book, codes)
    pairs, counts = np.unique(np.concatenate([_pairs(clip[book], codes) for clip in learn]), return_counts=True)
    before = np.bincount(pairs // codes, counts, codes).astype(np.float64)
    best = np.full(len(judged), np.inf)
    for smoothing in SMOOTHINGS:
        bits = np.array([
            _bits(clip[book].astype(np.int64), single, (pairs, counts, before), smoothing).mean() for clip in judged
        ])  # fmt: skip
        if bits.mean() < best.mean():
            best = bits
    return best


def _bits(
    clip: Numbers, single: NDArray[np.float64], seen: tuple[Any, Any, NDArray[np.float64]], smoothing: float
) -> NDArray[np.float64]:
    """Of each code of a book of a clip [frames]."""
    pairs, counts, before = seen
    wanted = _pairs(clip, len(single))
    at = np.minimum(np.searchsorted(pairs, wanted), max(0, len(pairs) - 1))
    came = np.where(pairs[at] == wanted, counts[at], 0) if len(pairs) else np.zeros(len(wanted))
    share = (came + smoothing * single[clip[1:]]) / (before[clip[:-1]] + smoothing)
    bits: NDArray[np.float64] = -np.log2(np.concatenate([single[clip[:1]], share]))
    return bits


def _pairs(clip: Codes | Numbers, codes: int) -> Numbers:
    """A code and the next as one number."""
    numbers = clip.astype(np.int64)
    return numbers[:-1] * codes + numbers[1:]


def _shares(learn: Sequence[Codes], book: int, codes: int) -> NDArray[np.float64]:
    """Of each code of a book."""
    counts = np.bincount(np.concatenate([clip[book] for clip in learn]), minlength=codes) + ADDED
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares
