"""Index: audio with prompts, in shards. A shard is a FLAC file that holds many clips, one after the other.

index.parquet says where in which shard a clip lies. FLAC halves what 16-bit WAV would take, is exact, and libsndfile
(soundfile) finds any frame of it without reading what is before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.data.labels import SPLITS
from offline.data.table import read_rows, write_rows

INDEX, SHARDS = "index.parquet", "shards"
SOURCES = ("midi", "concepts", "audio")


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip. "" and None: not known.

    shard:    file relative to the folder; start_frame, frames: where the clip lies in it; rate_hz: of the shard
    split:    train, validation or test; all clips of a `group` (a song) are on one side
    source:   one of SOURCES; origin: the file it was made from; licence: of that, as its labels say
    prompt:   what is true of the clip, in words; genre, instruments (by comma), bpm, key: its parts
    """

    shard: str
    start_frame: int
    frames: int
    rate_hz: int
    split: str
    source: str
    group: str
    origin: str
    licence: str
    prompt: str
    genre: str = ""
    instruments: str = ""
    bpm: float | None = None
    key: str = ""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.rate_hz


def write_index(folder: Path, clips: Iterable[Clip]) -> None:
    """Write index.parquet, whole or not at all; the same clips are the same bytes."""
    write_rows(folder / INDEX, Clip, clips)


def read_index(folder: Path) -> list[Clip]:
    """The clips of a prepared folder. Raises SidemanError where it is none, or a row is not what this says."""
    return read_rows(folder / INDEX, Clip, f"sideman prepare musicgen -o {folder}", _check)


def _check(clip: Clip) -> None:
    shard = PurePosixPath(clip.shard)  # a folder of shards may be a link to another disk
    if shard.is_absolute() or ".." in shard.parts:
        raise ValueError(f"{clip.shard!r} leads out of the folder")
    if clip.split not in SPLITS:
        raise ValueError(f"split {clip.split!r}")
    if clip.start_frame < 0 or clip.frames < 1 or not 1_000 <= clip.rate_hz <= 384_000:
        raise ValueError(f"frames {clip.start_frame} to {clip.start_frame + clip.frames} at {clip.rate_hz} Hz")


def read_frames(folder: Path, clip: Clip, first: int = 0, count: int | None = None) -> NDArray[np.float32]:
    """`count` frames of a clip from its frame `first` on: float32 [count], silent beyond its end.

    Raises SidemanError where the shard is missing or is not as long as the index says.
    """
    import soundfile

    wanted = clip.frames - first if count is None else count
    inside = max(0, min(wanted, clip.frames - first))
    try:
        with soundfile.SoundFile(folder / clip.shard) as file:
            file.seek(clip.start_frame + first)
            frames: NDArray[np.float32] = file.read(inside, dtype="float32")
    except (OSError, RuntimeError) as error:
        raise SidemanError(f"{folder / clip.shard} cannot be read ({error}); prepare again") from error
    if frames.shape != (inside,):
        raise SidemanError(f"{folder / clip.shard} is shorter than {INDEX} says; prepare again")
    return np.pad(frames, (0, wanted - inside))


def write_shard(path: Path, parts: Sequence[NDArray[np.int16]], rate_hz: int) -> None:
    """A shard of clips of 16 bits, whole or not at all."""
    import soundfile

    kinds: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_16"}
    partial = path.with_name(f".{path.name}.part")
    soundfile.write(partial, np.concatenate(parts), rate_hz, **kinds)
    partial.replace(path)
