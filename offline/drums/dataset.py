"""DrumDataset: pieces of drums on the grid of sixteenths, as `sideman prepare drums` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, Bar, hits
from engines.errors import SidemanError
from engines.music import STEP_TICKS, Meter
from offline.data.split import fingerprint

SPLITS = ("train", "validation", "test")
FINGERPRINT_BARS = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of whole bars of one metre from one file; S steps.

    masks:    uint16 [S]; bit i set: instrument i of engines.music.DRUMS is hit
    velocity: uint8 [S, 9]; 0 where there is no hit
    offset:   int16 [S, 9]; ticks from the step, -120..119; 0 where there is no hit
    bpm:      quarter notes a minute, the mean over the piece
    fill:     True a fill, False a beat, None unknown
    style, group, path, source, licence: "" where unknown; nc: a non-commercial licence
    """

    masks: NDArray[np.uint16]
    velocity: NDArray[np.uint8]
    offset: NDArray[np.int16]
    meter: Meter
    bpm: float
    fill: bool | None = None
    style: str = ""
    group: str = ""
    path: str = ""
    source: str = ""
    licence: str = ""
    nc: bool = False

    @property
    def steps_per_bar(self) -> int:
        """Sixteenths in a bar."""
        return self.meter.steps

    @property
    def bar_count(self) -> int:
        """Bars in the piece."""
        return len(self.masks) // self.steps_per_bar

    def fingerprint(self) -> str:
        """The same for pieces of the same metre and hits, whatever their tempo, velocity and timing.

        So the same music is found under another name or in another export. Single bars recur in all music; a piece
        shorter than FINGERPRINT_BARS (a fill) is no more than that and must equal in velocity and timing too.
        """
        parts = [str(self.meter).encode(), self.masks.tobytes()]
        if self.bar_count < FINGERPRINT_BARS:
            parts += [self.velocity.tobytes(), self.offset.tobytes()]
        return fingerprint(*parts)

    def bars(self) -> tuple[Bar, ...]:
        """The piece bar by bar, as the models take it."""
        n = self.steps_per_bar
        return tuple(
            Bar(self.meter, self.masks[i : i + n], self.velocity[i : i + n], self.offset[i : i + n])
            for i in range(0, len(self.masks), n)
        )


@dataclass(frozen=True, slots=True)
class DrumDataset:
    """Pieces end to end: P pieces of S steps together.

    masks uint16 [S], velocity uint8 [S, 9], offset int16 [S, 9]: as in Piece
    piece_start int64 [P+1]:   piece p is steps piece_start[p] to piece_start[p+1]
    piece_meter int16 [P, 2]:  numerator, denominator
    piece_bpm float32 [P]; piece_fill int8 [P]: 1 fill, 0 beat, -1 unknown; piece_nc bool [P]
    piece_style, piece_group, piece_path, piece_source, piece_licence: text [P], "" where unknown
    """

    masks: NDArray[np.uint16]
    velocity: NDArray[np.uint8]
    offset: NDArray[np.int16]
    piece_start: NDArray[np.int64]
    piece_meter: NDArray[np.int16]
    piece_bpm: NDArray[np.float32]
    piece_fill: NDArray[np.int8]
    piece_style: NDArray[np.str_]
    piece_group: NDArray[np.str_]
    piece_path: NDArray[np.str_]
    piece_source: NDArray[np.str_]
    piece_licence: NDArray[np.str_]
    piece_nc: NDArray[np.bool_]

    @classmethod
    def of(cls, pieces: list[Piece]) -> Self:
        """Lay pieces end to end."""
        if not pieces:
            raise SidemanError("a data set needs at least one piece")
        lengths = [len(piece.masks) for piece in pieces]
        fills = [-1 if piece.fill is None else int(piece.fill) for piece in pieces]
        meters = [(piece.meter.numerator, piece.meter.denominator) for piece in pieces]
        return cls(
            masks=np.concatenate([piece.masks for piece in pieces]),
            velocity=np.concatenate([piece.velocity for piece in pieces]),
            offset=np.concatenate([piece.offset for piece in pieces]),
            piece_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            piece_meter=np.array(meters, np.int16),
            piece_bpm=np.array([piece.bpm for piece in pieces], np.float32),
            piece_fill=np.array(fills, np.int8),
            piece_style=np.array([piece.style for piece in pieces]),
            piece_group=np.array([piece.group for piece in pieces]),
            piece_path=np.array([piece.path for piece in pieces]),
            piece_source=np.array([piece.source for piece in pieces]),
            piece_licence=np.array([piece.licence for piece in pieces]),
            piece_nc=np.array([piece.nc for piece in pieces], np.bool_),
        )

    def __len__(self) -> int:
        """The number of pieces."""
        return len(self.piece_bpm)

    def piece(self, p: int) -> Piece:
        """Piece p, its arrays as views."""
        span = slice(int(self.piece_start[p]), int(self.piece_start[p + 1]))
        fill = int(self.piece_fill[p])
        return Piece(
            self.masks[span],
            self.velocity[span],
            self.offset[span],
            Meter(int(self.piece_meter[p, 0]), int(self.piece_meter[p, 1])),
            float(self.piece_bpm[p]),
            None if fill < 0 else bool(fill),
            str(self.piece_style[p]),
            str(self.piece_group[p]),
            str(self.piece_path[p]),
            str(self.piece_source[p]),
            str(self.piece_licence[p]),
            bool(self.piece_nc[p]),
        )

    def pieces(self) -> Iterator[Piece]:
        """All pieces in order."""
        for p in range(len(self)):
            yield self.piece(p)

    def in_meter(self, meter: Meter) -> NDArray[np.bool_]:
        """Which pieces are in a metre: bool [P]."""
        is_it: NDArray[np.bool_] = (self.piece_meter == (meter.numerator, meter.denominator)).all(axis=1)
        return is_it

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """The pieces chosen by a bool [P] or by indices. Raises SidemanError when none is."""
        return self.of([self.piece(int(p)) for p in np.arange(len(self))[which]])

    def save(self, path: Path) -> None:
        """Write an .npz, whole or not at all."""
        partial = path.with_name(f".{path.name}.part")
        with partial.open("wb") as file:
            arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez_compressed(file, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read an .npz and check it. Raises SidemanError when it is missing or not such a data set."""
        path = Path(path)
        if not path.is_file():
            raise SidemanError(f"{path} does not exist; make it with: sideman prepare drums SOURCE -o {path.parent}")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                dataset = cls(**{field.name: arrays[field.name] for field in fields(cls)})
            dataset._check()
        except Exception as problem:  # zip, numpy and our checks: whatever it is, the remedy is the same
            raise SidemanError(
                f"{path} is not a drum data set ({problem}); make it again with: sideman prepare drums"
            ) from problem
        return dataset

    def _check(self) -> None:
        steps, pieces = len(self.masks), len(self.piece_bpm)
        expected: dict[str, tuple[tuple[int, ...], str]] = {
            "masks": ((steps,), "u2"),
            "velocity": ((steps, INSTRUMENTS), "u1"),
            "offset": ((steps, INSTRUMENTS), "i2"),
            "piece_start": ((pieces + 1,), "i8"),
            "piece_meter": ((pieces, 2), "i2"),
            "piece_bpm": ((pieces,), "f4"),
            "piece_fill": ((pieces,), "i1"),
            "piece_nc": ((pieces,), "b1"),
        }
        for field in fields(self):
            array: NDArray[Any] = getattr(self, field.name)
            shape, kind = expected.get(field.name, ((pieces,), "U"))
            if array.shape != shape or not array.dtype.str[1:].startswith(kind):
                raise ValueError(f"{field.name} is {array.dtype} {array.shape}")
        lengths = np.diff(self.piece_start)
        bar_steps = [Meter.parse(f"{n}/{d}").steps for n, d in self.piece_meter]
        if not pieces or self.piece_start[0] != 0 or self.piece_start[-1] != steps or (lengths <= 0).any():
            raise ValueError("piece_start does not cover the steps")
        if 0 in bar_steps or (lengths % np.array(bar_steps)).any():
            raise ValueError("a piece is not of whole bars")
        if (self.masks >> INSTRUMENTS).any() or ((self.velocity > 0) != hits(self.masks)).any():
            raise ValueError("velocity and masks disagree")
        if (self.velocity > 127).any() or (np.abs(self.offset + 0.5) > STEP_TICKS // 2).any():
            raise ValueError("a velocity or an offset is out of range")
        if not np.isfinite(self.piece_bpm).all() or (self.piece_bpm <= 0).any():
            raise ValueError("a tempo is not positive")
