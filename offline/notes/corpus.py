"""Corpus: the pieces of one split end to end, as `sideman prepare notes` writes them and training opens them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.data.labels import SPLITS
from offline.notes.pieces import Piece

FOLDER = "pieces"
"""Where the splits' files are in a data set: pieces/train.npz and so on."""
MAX_BARS = np.iinfo(np.int16).max
"""Bars that a piece may have."""

_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pieces end to end: P pieces of N events and B bars together.

    events int16 [N, 7], bars int16 [B, 3]: as in engines.notes.events; bars count from 0 in each piece
    event_start, bar_start int64 [P+1]: piece p is events event_start[p] to event_start[p+1], bars likewise
    piece_performed bool [P]: beats found by ear
    piece_velocity bool [P]:  its velocities mean something: to be learned, and charged
    piece_genre, piece_source, piece_group, piece_path, piece_licence: text [P], "" where unknown
    piece_nc bool [P]:        a non-commercial licence
    """

    events: NDArray[np.int16]
    bars: NDArray[np.int16]
    event_start: NDArray[np.int64]
    bar_start: NDArray[np.int64]
    piece_performed: NDArray[np.bool_]
    piece_velocity: NDArray[np.bool_]
    piece_genre: NDArray[np.str_]
    piece_source: NDArray[np.str_]
    piece_group: NDArray[np.str_]
    piece_path: NDArray[np.str_]
    piece_licence: NDArray[np.str_]
    piece_nc: NDArray[np.bool_]

    @classmethod
    def of(cls, pieces: Sequence[Piece], **columns: Sequence[Any]) -> Self:
        """Lay pieces end to end. columns: piece_velocity, piece_genre and the rest, one value a piece."""
        if not pieces:
            raise SidemanError("a data set needs at least one piece")
        texts = ("piece_genre", "piece_source", "piece_group", "piece_path", "piece_licence")
        named: dict[str, Any] = {
            name: np.array(values, np.str_ if name in texts else np.bool_) for name, values in columns.items()
        }
        return cls(
            events=np.concatenate([piece.events.astype(np.int16) for piece in pieces]),
            bars=np.concatenate([piece.bars.astype(np.int16) for piece in pieces]),
            event_start=np.cumsum([0, *(len(piece.events) for piece in pieces)], dtype=np.int64),
            bar_start=np.cumsum([0, *(len(piece.bars) for piece in pieces)], dtype=np.int64),
            piece_performed=np.array([piece.performed for piece in pieces], np.bool_),
            **named,
        )

    def __len__(self) -> int:
        return len(self.event_start) - 1

    def piece(self, index: int) -> Piece:
        """One piece, a copy."""
        return Piece(
            self.events[self.event_start[index] : self.event_start[index + 1]].astype(np.int32),
            self.bars[self.bar_start[index] : self.bar_start[index + 1]].astype(np.int32),
            bool(self.piece_performed[index]),
        )

    def save(self, path: Path) -> None:
        """Write; equal pieces give equal bytes."""
        with path.open("wb") as file:
            columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez_compressed(file, **columns)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what save wrote. Raises SidemanError when it is missing, damaged or no such thing."""
        if not path.exists():
            raise SidemanError(f"{path} does not exist; write it with: sideman prepare notes SOURCE -o FOLDER")
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                corpus = cls(**{field.name: file[field.name] for field in fields(cls)})
            corpus._check()
        except _BROKEN as problem:
            raise SidemanError(
                f"{path} is no split of a data set of notes ({problem}); write it again with `sideman prepare notes`"
            ) from problem
        return corpus

    def _check(self) -> None:
        count = len(self)
        for starts, rows, width in ((self.event_start, self.events, 7), (self.bar_start, self.bars, 3)):
            if rows.dtype != np.int16 or rows.ndim != 2 or rows.shape[1] != width:
                raise ValueError("its events or bars are of another kind")
            if starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any() or len(starts) != count + 1:
                raise ValueError("its counts do not add up")
        if any(getattr(self, field.name).shape != (count,) for field in fields(self) if field.name[:6] == "piece_"):
            raise ValueError("its columns have different lengths")


def load_split(folder: Path, split: str) -> Corpus:
    """A split of the data set in a folder. Raises SidemanError as Corpus.load does."""
    if split not in SPLITS:
        raise SidemanError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    return Corpus.load(folder / FOLDER / f"{split}.npz")
