"""Synthesise: the recipe's clips as WAV files and their rows, by several workers; what is there is not made again.

A folder holds SET/FONT/NAME.wav, and settings.json with what all of them were made with. A file is swapped in whole,
so one that is there is done. Clips that no sound font plays (silence) are left out, and kept by name in silent.json so
that the next run need not try them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from engines.errors import SidemanError
from offline.data.fluidsynth import GAIN, RATE_HZ, SoundFont, resample, sixteen_bits
from offline.data.midi import UnusableError
from offline.data.workers import each
from offline.steering.index import LABELS, Row
from offline.steering.recipe import CLIP_S, Clip, starts_s, track_of

SETTINGS, SILENT = "settings.json", "silent.json"
VERSION = 1
QUIET = 1e-3
"""Peak under which a clip counts as silent: -60 dB."""
BATCH = 48
"""Clips of a job, about: a worker opens the sound font once for each."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker does at a time: clips of one font, those of a track together."""

    font: Path
    clips: tuple[Clip, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: rows of all clips that are heard; counts of new files, of those that were there, of silence."""

    rows: list[Row]
    new: int
    old: int
    silent: int


def synthesise(
    folder: Path, fonts: dict[Path, list[Clip]], rate_hz: int, workers: int, *, progress: bool = False
) -> Made:
    """Make the clips of each font, and return their rows in the order given.

    Raises SidemanError for a folder begun with other settings, a font that cannot be used, or a disk too small.
    """
    settings = {
        "version": VERSION, "rate_hz": rate_hz, "gain": GAIN,
        "fonts": {font.name: _sha256(font) for font in fonts},
    }  # fmt: skip
    begin(folder, settings)
    silent = set(_silent(folder))
    wanted = [(font, clip) for font, clips in fonts.items() for clip in clips]
    todo = [
        (font, clip) for font, clip in wanted
        if path_of(font, clip) not in silent and not (folder / path_of(font, clip)).is_file()
    ]  # fmt: skip
    _room(folder, len(todo), rate_hz)
    for font, clip in todo:
        (folder / path_of(font, clip)).parent.mkdir(parents=True, exist_ok=True)
    done = 0
    make = partial(_make, folder, rate_hz)
    try:
        for batch, made in each(make, list(_batches(todo)), workers):
            if isinstance(made, UnusableError):
                raise SidemanError(f"{batch.font}: {made}")
            silent |= set(made)
            done += len(batch.clips)
            if progress:
                print(f"\r{done:,} of {len(todo):,} clips", end="", file=sys.stderr, flush=True)
    finally:
        _swap(folder / SILENT, json.dumps(sorted(silent), indent=0).encode() + b"\n")
    if progress and todo:
        print(file=sys.stderr)
    rows = [_row(font, clip, rate_hz) for font, clip in wanted if path_of(font, clip) not in silent]
    new = sum(path_of(font, clip) not in silent for font, clip in todo)
    return Made(rows, new, len(rows) - new, len(wanted) - len(rows))


def path_of(font: Path, clip: Clip) -> str:
    """Where a clip lies in the folder."""
    return f"{clip.set}/{font.stem}/{clip.name}.wav"


def _row(font: Path, clip: Clip, rate_hz: int) -> Row:
    labels = {name: getattr(clip, name) for name in LABELS}
    return Row(path_of(font, clip), clip.set, clip.split, font.name, clip.program, clip.register, rate_hz, CLIP_S,
               **labels)  # fmt: skip


def _batches(todo: Sequence[tuple[Path, Clip]]) -> Iterator[Batch]:
    tracks: dict[tuple[Path, str, str], list[Clip]] = defaultdict(list)
    for font, clip in todo:
        tracks[font, clip.set, clip.track].append(clip)
    taken: list[Clip] = []
    before: Path | None = None
    for (font, _, _), clips in tracks.items():
        if before is not None and (font != before or len(taken) >= BATCH):
            yield Batch(before, tuple(taken))
            taken = []
        before = font
        taken += clips
    if before is not None:
        yield Batch(before, tuple(taken))


def _make(folder: Path, rate_hz: int, batch: Batch) -> list[str]:
    """Write the clips of a batch; the paths of the silent ones."""
    silent = []
    track, sound = "", np.zeros(0, np.float32)
    with SoundFont(batch.font) as font:
        for clip in batch.clips:
            if clip.track != track:
                voice, notes = track_of(clip)
                track, sound = clip.track, font.render([voice], notes, clip.track_s)
            first = round(starts_s(clip) * RATE_HZ)
            own = resample(sound[first : first + round(CLIP_S * RATE_HZ)], rate_hz)
            path = path_of(batch.font, clip)
            if float(np.abs(own).max()) < QUIET:
                silent.append(path)
            else:
                write_wav(folder / path, own, rate_hz)
    return silent


def write_wav(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.float32]], rate_hz: int) -> None:
    """A WAV of 16 bits and one channel, whole or not at all."""
    import soundfile

    partial_path = path.with_name(f".{path.name}.part")
    soundfile.write(partial_path, sixteen_bits(samples), rate_hz, subtype="PCM_16", format="WAV")
    partial_path.replace(path)


def begin(folder: Path, settings: dict[str, object]) -> None:
    """Write settings.json, or add fonts to it. Raises SidemanError where it says that clips were made otherwise."""
    path = folder / SETTINGS
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SidemanError(f"{path} cannot be read; give another -o") from error
        known = before.get("fonts", {}) if isinstance(before, dict) else {}
        merged = {**known, **settings["fonts"]}  # type: ignore[dict-item]
        same = isinstance(before, dict) and {**before, "fonts": 0} == {**settings, "fonts": 0}
        if not same or any(known[name] != merged[name] for name in known):
            raise SidemanError(f"{folder} was begun with another rate, font or version: give the same, or another -o")
        settings = {**settings, "fonts": merged}
    folder.mkdir(parents=True, exist_ok=True)
    _swap(path, json.dumps(settings, indent=1, sort_keys=True).encode() + b"\n")


def _silent(folder: Path) -> list[str]:
    path = folder / SILENT
    if not path.is_file():
        return []
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _room(folder: Path, clips: int, rate_hz: int) -> None:
    import shutil

    needed = clips * (round(CLIP_S * rate_hz) * 2 + 44)
    free = shutil.disk_usage(folder).free
    if needed > free * 0.95:
        raise SidemanError(
            f"{clips:,} clips need {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f}: give --size or fewer --sets"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    beside.replace(path)
