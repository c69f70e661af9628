"""Loops as WAV files, for the stage and for hosts that take files rather than streams (Live, Max's buffer~).

Each is 32-bit float, written whole and then renamed, with its tempo and bars in its name, and with the chunks by which
hosts know them: `acid` (beats, metre, tempo, as Sonic Foundry's ACID writes it and libsndfile reads it) and `smpl` (the
loop's first and last frame; Microsoft's "Multimedia Programming Interface and Data Specifications 1.0").
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT, LoopFile, Meter, Phrase

if TYPE_CHECKING:  # control only names the folder, and needs no numpy for it
    from engines.audio import Loop
    from engines.engine import Chunk, Request

KEPT = 64
"""Files that a player has in a folder that goes with the session: more than it has bars to remember."""

YOUNG_S = 60.0
FLOOD = 512
"""Younger ones stay as well: where a knob is turned, a bar is made again and again. But no more than so many."""

NUMBER_PATTERN = re.compile(r"_(\d{4,})_[\d.]+bpm_")

FLOAT_FORMAT = 3
ACID_STRETCHED = 0x04
"""Flag of an acid chunk: a loop (not a one-shot) that follows the tempo."""

ACID_UNKNOWN = 0x8000
"""What ACID itself writes into a field whose meaning nobody has told."""

MIDDLE_C = 60


class SessionLoops:
    """Where a session's loops lie: the folder that the set names, or a temporary one that `close` removes.

    Nothing is made before the first loop is written.
    """

    def __init__(self, folder: str) -> None:
        self.temporary = not folder
        name = f"sideman-{os.getpid()}-{secrets.token_hex(6)}"
        self._path = Path(folder).expanduser().absolute() if folder else Path(tempfile.gettempdir()) / name

    def folder(self, player: str) -> str:
        """A player's own folder."""
        return str(self._path / player)

    @property
    def kept(self) -> int:
        """How many files a player may have at once; 0 is no limit."""
        return KEPT if self.temporary else 0

    def close(self) -> None:
        """Remove a temporary folder. May be called twice."""
        if self.temporary:
            shutil.rmtree(self._path, ignore_errors=True)


class LoopFolder:
    """A player's loops, named after their folder: drums_0007_97.3bpm_1bar.wav. No file is ever written over.

    kept: older ones than so many and than young_s are removed; 0 keeps all.
    """

    def __init__(self, folder: Path, kept: int = 0, young_s: float = YOUNG_S) -> None:
        self.path = folder
        self._kept = kept
        self._young_s = young_s
        self._number = 0

    def write(self, loop: Loop, tempo_mbpm: int, meter: Meter) -> LoopFile:
        """Write a loop that takes its span at a tempo. Raises OSError, and leaves nothing, if that cannot be done."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._reserve()
        path = self.path / f"{self.path.name}_{self._number:04d}_{_tempo(tempo_mbpm)}_{_bars(loop, meter)}.wav"
        write_loop(path, loop, tempo_mbpm, meter, partial)
        if self._kept:
            self._prune()
        frames, channels = loop.frames.shape
        return LoopFile(str(path), loop.rate, frames - loop.lead, channels, loop.length, tempo_mbpm, loop.lead)

    def _reserve(self) -> Path:
        """Take the next number that is nobody's, also not that of another session; the file it is written to first."""
        if not self._number:
            self._number = max(map(_number, self.path.glob("*.wav")), default=0)
        while True:
            self._number += 1
            partial = self.path / f".{self._number:04d}.part"
            with contextlib.suppress(FileExistsError):
                partial.touch(exist_ok=False)
                if not any(self.path.glob(f"{self.path.name}_{self._number:04d}_*")):
                    return partial
                partial.unlink()

    def _prune(self) -> None:
        old = sorted(self.path.glob("*.wav"), key=_number)[: -self._kept]
        before_s = time.time() - self._young_s
        for left, path in enumerate(reversed(old)):
            if left >= FLOOD or path.stat().st_mtime <= before_s:
                path.unlink()

    def close(self) -> None:
        """Remove a folder whose files are not all kept, and the one around it if it is empty. May be called twice."""
        if self._kept:
            shutil.rmtree(self.path, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()


def filed(chunk: Chunk, request: Request, folder: LoopFolder | None) -> Phrase:
    """What an engine returned as what the rest of Sideman speaks of: notes, or a loop's file in a phrase.

    Raises SidemanError if there is no folder for it, or nothing can be written there.
    """
    if isinstance(chunk, Phrase):
        return chunk
    if folder is None:
        raise SidemanError("there is no folder for loops; name one in the set: loops = ...")
    try:
        file = folder.write(chunk, round(request.tempo_bpm * 1000), request.meter)
        return Phrase(chunk.length, loop=file, cut_tick=0 if chunk.again else None)
    except OSError as error:
        raise SidemanError(f"{folder.path} cannot be written to: {error.strerror or error}") from error


def write_loop(path: Path, loop: Loop, tempo_mbpm: int, meter: Meter, partial: Path | None = None) -> None:
    """Write a loop, to `partial` first, under its name once it is whole. Raises OSError."""
    frames, channels = loop.frames.shape
    data = loop.frames.astype("<f4").tobytes()
    width = 4 * channels
    header = struct.pack("<HHIIHHH", FLOAT_FORMAT, channels, loop.rate, loop.rate * width, width, 32, 0)
    chunks = [
        _chunk(b"fmt ", header),
        _chunk(b"fact", struct.pack("<I", frames)),
        _chunk(b"acid", _acid(loop.length, tempo_mbpm, meter)),
        _chunk(b"smpl", _smpl(loop.lead, frames, loop.rate)),
        _chunk(b"data", data),
    ]
    body = b"WAVE" + b"".join(chunks)
    partial = partial or path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            file.write(_chunk(b"RIFF", body))
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _acid(ticks: int, tempo_mbpm: int, meter: Meter) -> bytes:
    """Flags, root note, two fields nobody knows, quarter beats (whole ones: the tempo counts), metre, tempo."""
    beats = max(1, round(ticks / TICKS_PER_BEAT))
    return struct.pack(
        "<IHHfIHHf",
        ACID_STRETCHED,
        MIDDLE_C,
        ACID_UNKNOWN,
        0.0,
        beats,
        meter.denominator,
        meter.numerator,
        tempo_mbpm / 1000,
    )


def _smpl(first: int, end: int, rate: int) -> bytes:
    """One loop, forwards, for ever, from a frame to the one before another."""
    sampler = (0, 0, round(1e9 / rate), MIDDLE_C, 0, 0, 0, 1, 0)
    forwards = (0, 0, first, end - 1, 0, 0)
    return struct.pack("<15I", *sampler, *forwards)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _tempo(tempo_mbpm: int) -> str:
    return f"{tempo_mbpm / 1000:.3f}".rstrip("0").rstrip(".") + "bpm"


def _bars(loop: Loop, meter: Meter) -> str:
    bars = loop.length / meter.bar_ticks
    return f"{bars:g}bar" + "s" * (bars != 1)


def _number(path: Path) -> int:
    found = NUMBER_PATTERN.search(path.name)
    return int(found[1]) if found else 0
