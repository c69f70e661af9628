"""Parts: what one MIDI file gives to a data set of notes: a piece, tokens and facts, made by a worker and kept on disk
until all are there, so that a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from engines.notes.events import BAR, DURATION, PITCH, ROLE, STEP
from engines.notes.roles import DRUMS
from offline.data.midi import UnusableError
from offline.data.split import fingerprint
from offline.notes.beats import on_beats
from offline.notes.corpus import MAX_BARS
from offline.notes.pieces import Piece, piece_of
from offline.notes.reading import read_midi
from offline.notes.tokens import Tokeniser, Tokens

VERSION = 1
"""Changes when parts made by an earlier version are of no more use."""
DISTINCT_VELOCITIES = 4
"""A file with fewer velocities than this says nothing of loudness."""

_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    data:       its bytes
    velocities: False where the labels say that its velocities mean nothing
    tokens:     whether the seed's tokens are asked for
    part:       where the part goes
    """

    path: str
    data: bytes
    velocities: bool
    tokens: bool
    part: Path


class Facts(msgspec.Struct, frozen=True):
    """What is known of a part without opening its arrays; see offline.notes.index.Row.

    token_bars: bars in the tokens
    """

    fingerprint: str
    performed: bool
    velocity: bool
    notes: int
    bars: int
    seconds: float
    token_bars: int = 0


def part_name(data: bytes, velocities: bool, tokens: bool) -> str:
    """The name of the part of a file: the same for the same bytes and settings."""
    return fingerprint(data, f"{VERSION} {velocities} {tokens}".encode()) + ".npz"


def make(job: Job) -> Facts:
    """Read a file and write its part. Raises UnusableError with the reason when it gives nothing."""
    reading = read_midi(job.data)
    seconds = round(float(reading.seconds(reading.ticks[-1:])[0]), 3)
    velocities = job.velocities and len(np.unique(reading.velocity)) >= DISTINCT_VELOCITIES
    on_grid, performed = on_beats(reading)
    piece = piece_of(on_grid, performed, velocities)
    if len(piece.bars) > MAX_BARS:
        raise UnusableError(f"more than {MAX_BARS:,} bars")
    body, token_bars = _tokeniser().encode(job.data) if job.tokens else (np.zeros(0, np.uint16), 0)
    facts = Facts(print_of(piece), performed, velocities, len(piece.events), len(piece.bars), seconds, token_bars)
    partial = job.part.with_suffix(f".{os.getpid()}")  # two files of the same bytes have one part
    with partial.open("wb") as file:
        np.savez(
            file,
            events=piece.events.astype(np.int16),
            bars=piece.bars.astype(np.int16),
            tokens=body,
            facts=np.frombuffer(msgspec.json.encode(facts), np.uint8),
        )
    partial.replace(job.part)
    return facts


def read_facts(part: Path) -> Facts | None:
    """The facts of a part that an earlier run left; None where there is none or it is damaged."""
    try:
        with part.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return msgspec.json.decode(file["facts"].tobytes(), type=Facts)
    except _BROKEN:
        return None


def read_part(part: Path, performed: bool) -> tuple[Piece, Tokens]:
    """The piece and the tokens of a part."""
    with np.load(part, allow_pickle=False) as file:
        return Piece(file["events"], file["bars"], performed), file["tokens"]


def print_of(piece: Piece) -> str:
    """A fingerprint of a piece's notes on the grid: the same in any key, at any tempo, however loud."""
    rows = piece.events[:, [BAR, STEP, ROLE, PITCH, DURATION]].astype(np.int32)
    pitched = piece.events[:, ROLE] != DRUMS
    if pitched.any():
        rows[pitched, 3] -= rows[pitched, 3].min()
    return fingerprint(rows.tobytes(), np.ascontiguousarray(piece.bars[:, :1], np.int32).tobytes())


@lru_cache(maxsize=1)
def _tokeniser() -> Tokeniser:
    """With numbers for the bars of any file, and no genres: both are settled when all files are read."""
    return Tokeniser(MAX_BARS)
