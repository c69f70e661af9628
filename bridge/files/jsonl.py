"""Drum bars as lines of JSON, one bar a line, which any language reads.

{"bar": 0, "meter": "4/4", "bpm": 120.0, "masks": [n], "velocity": [n][9], "offset": [n][9]}: n sixteenths; bit i of a
mask, and column i, is instrument i of engines.music.DRUMS; velocity 0-127; offset in ticks (960 a beat) from the step.
All but masks may be left out. A line of the seed's, {"tokens": [16]}, is read with its vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from bridge.files.song import SongBar
from engines.drums.bar import INSTRUMENTS, MASKS, Bar, hits
from engines.errors import SidemanError
from engines.music import DRUM_OF_PITCH, STEP_TICKS, Meter

PLAIN_VELOCITY = 95
"""Velocity of a hit that has none; the seed's."""

FILE_BYTES_MAX = 1 << 26
HALF_STEP_TICKS = STEP_TICKS // 2

Row = Annotated[list[int], msgspec.Meta(min_length=INSTRUMENTS, max_length=INSTRUMENTS)]
Bpm = Annotated[float, msgspec.Meta(ge=20, le=999)]


class _Line(msgspec.Struct, kw_only=True):
    bar: int = 0
    meter: str = "4/4"
    bpm: Bpm | None = None
    masks: list[Annotated[int, msgspec.Meta(ge=0, lt=MASKS)]] | None = None
    velocity: list[Row] | None = None
    offset: list[Row] | None = None
    tokens: list[int] | None = None


class _Vocabulary(msgspec.Struct):
    """vocab_topN.json: the mask of each token; null for the unknown one."""

    id2bitmask: list[Annotated[int, msgspec.Meta(ge=0, lt=MASKS)] | None]


def write_lines(path: Path, song: Iterable[SongBar]) -> None:
    """Write drum bars. Raises SidemanError for notes that are no drum's: those have no bit."""
    encode = msgspec.json.Encoder().encode
    lines = []
    for number, bar in enumerate(song):
        strays = {note.pitch for note in bar.phrase.notes if note.pitch not in DRUM_OF_PITCH or note.part > 1}
        if strays:
            raise SidemanError(f"{path}: .jsonl holds drum bars, and pitch {min(strays)} is no drum; use .mid")
        grid = Bar.from_phrase(bar.meter, bar.phrase)
        line = _Line(
            bar=number,
            meter=str(bar.meter),
            bpm=bar.tempo_bpm,
            masks=grid.masks.tolist(),
            velocity=grid.velocity.tolist(),
            offset=grid.offset.tolist(),
        )
        table = {name: value for name, value in msgspec.structs.asdict(line).items() if value is not None}
        lines.append(encode(table))
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def read_lines(path: Path, vocabulary: Path | None = None, tempo_bpm: float = 120.0) -> list[SongBar]:
    """Read bars.

    tempo_bpm is for lines without one. Raises SidemanError naming the line and the field.
    """
    masks_of_token = None if vocabulary is None else _read_vocabulary(vocabulary)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise SidemanError(f"{path} is over {FILE_BYTES_MAX >> 20} MiB; split it")
    decoder = msgspec.json.Decoder(_Line)
    song = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                song.append(_bar(decoder.decode(raw), masks_of_token, tempo_bpm))
            except (msgspec.DecodeError, SidemanError, RecursionError, UnicodeDecodeError) as error:
                raise SidemanError(
                    f"{path}, line {number}: {error}; it should be a bar as generate writes it"
                ) from error
    if not song:
        raise SidemanError(f"{path} holds no bars; `sideman generate BUNDLE --bars 8 -o {path.name}` writes some")
    return song


def _bar(line: _Line, masks_of_token: list[int | None] | None, tempo_bpm: float) -> SongBar:
    meter = Meter.parse(line.meter)
    masks = _masks(line, masks_of_token)
    if len(masks) != meter.steps:
        raise SidemanError(f"{len(masks)} steps where a bar of {meter} has {meter.steps}")
    on = hits(masks)
    velocity = _rows(line.velocity, "velocity", len(masks), low=1, high=127, default=PLAIN_VELOCITY)
    offset = _rows(line.offset, "offset", len(masks), low=-HALF_STEP_TICKS, high=HALF_STEP_TICKS - 1, default=0)
    bar = Bar(meter, masks, np.where(on, velocity, 0).astype(np.uint8), np.where(on, offset, 0).astype(np.int16))
    return SongBar(meter, tempo_bpm if line.bpm is None else line.bpm, bar.phrase())


def _masks(line: _Line, masks_of_token: list[int | None] | None) -> NDArray[np.uint16]:
    if line.masks is not None:
        return np.array(line.masks, np.uint16)
    if line.tokens is None:
        raise SidemanError("neither masks nor tokens")
    if masks_of_token is None:
        raise SidemanError("tokens, whose meaning is in a vocabulary; give it with --vocab vocab_topN.json")
    if any(not 0 <= token < len(masks_of_token) for token in line.tokens):
        raise SidemanError(f"a token outside the vocabulary of {len(masks_of_token)}")
    return np.array([masks_of_token[token] or 0 for token in line.tokens], np.uint16)


def _rows(rows: list[Row] | None, name: str, steps: int, *, low: int, high: int, default: int) -> NDArray[np.int64]:
    """Int64 [steps, 9], limited to low..high; the default where there are none."""
    if rows is None:
        return np.full((steps, INSTRUMENTS), default)
    if len(rows) != steps:
        raise SidemanError(f"{name} has {len(rows)} steps, masks have {steps}")
    return np.array([[min(max(value, low), high) for value in row] for row in rows])


def _read_vocabulary(path: Path) -> list[int | None]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Vocabulary).id2bitmask
    except FileNotFoundError as error:
        raise SidemanError(f"there is no vocabulary {path}; `sideman prepare drums` writes vocab_topN.json") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise SidemanError(f"{path} is not a vocabulary: {error}; `sideman prepare drums` writes one") from error
