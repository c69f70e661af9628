"""SynTheory as it was published (meganwei/syntheory on the Hugging Face hub, MIT), read from a local copy.

The copy is the hub's folder: one folder a set (notes, intervals, chords, scales, simple_progressions, tempos,
time_signatures) with .parquet files, whose column `audio` holds {bytes, path}: a WAV, or the path of one beside them.
Get it with: hf download meganwei/syntheory --repo-type dataset --local-dir FOLDER

Its audio is as it is: what is played in one octave cannot be moved to another, so that those sets are split by program
alone (and notes by program and register, as offline/steering/split.py says). Chords are split by program too: the
octaves of their inversions overlap.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import SidemanError
from offline.data.fluidsynth import Samples, resample
from offline.steering.choose import choose
from offline.steering.index import LABELS, Row
from offline.steering.recipe import CHORDS, MODES, PROGRESSIONS, Clip, progression_name
from offline.steering.split import CLICK_SPLIT, PROGRAM_SPLIT, split_of
from offline.steering.synthesise import QUIET, VERSION, Made, begin, write_wav

FOLDERS = {
    "notes": "notes", "intervals": "intervals", "chords": "chords", "scales": "scales",
    "progressions": "simple_progressions", "tempos": "tempos", "signatures": "time_signatures",
}  # fmt: skip
MAX_CLIP_BYTES = 64 << 20
MAX_CLIP_S = 60.0
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_CHORD_NAMES = {"major": "maj", "minor": "min", "aug": "aug", "dim": "dim"}
_INVERSIONS = {"5": 0, "6": 1, "64": 2}
_MOTIONS = {"up": "up", "down": "down", "unison": "together"}

Values = dict[str, Any]


def read_syntheory(
    source: Path, folder: Path, sets: list[str], size: int, rate_hz: int, *, progress: bool = False
) -> Made:
    """Turn a local copy into clips at `rate_hz` and their rows; clips that are there are not read again.

    size: clips of each set, chosen as offline/steering/choose.py does; 0 for all
    Raises SidemanError where the copy is incomplete, or a row is not what SynTheory writes.
    """
    begin(folder, {"version": VERSION, "rate_hz": rate_hz, "source": "syntheory", "fonts": {}})
    rows: list[Row] = []
    new = old = silent = 0
    for name in sets:
        files = sorted((source / FOLDERS[name]).glob("*.parquet")) or sorted((source / name).glob("*.parquet"))
        if not files:
            raise SidemanError(f"{source / FOLDERS[name]} has no .parquet file; leave out {name} with --sets")
        found = {clip.name: clip for clip in _labelled(name, files)}
        chosen = {clip.name for clip in choose(found.values(), size)}
        (folder / name / "syntheory").mkdir(parents=True, exist_ok=True)
        for number, (place, values) in enumerate(_rows(files, None)):
            clip = found.get(place)
            if clip is None or place not in chosen:
                continue
            path = f"{name}/syntheory/{place}.wav"
            if (folder / path).is_file():
                old += 1
            else:
                samples = _audio(values, files[0].parent, rate_hz, f"{name} {place}")
                if float(np.abs(samples).max(initial=0.0)) < QUIET:
                    silent += 1
                    continue
                write_wav(folder / path, samples, rate_hz)
                new += 1
            labels = {label: getattr(clip, label) for label in LABELS}
            rows.append(Row(path, name, clip.split, "", clip.program, clip.register, rate_hz,
                            _seconds(folder / path), **labels))  # fmt: skip
            if progress and number % 50 == 0:
                print(f"\r{name}: {number:,} rows", end="", file=sys.stderr, flush=True)
    return Made(rows, new, old, silent)


def _labelled(name: str, files: list[Path]) -> Iterator[Clip]:
    make = _READERS[name]
    for place, values in _rows(files, "audio"):
        try:
            clip = make(place, values)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise SidemanError(f"{files[0].parent}, row {place}, is not what SynTheory writes: {error}") from error
        if clip.split:
            yield clip


def _rows(files: list[Path], without: str | None) -> Iterator[tuple[str, Values]]:
    """(number as text, values) of each row of all files, some at a time: their audio may be gigabytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    for path in files:
        try:
            file = pq.ParquetFile(path)
            columns = [column for column in file.schema_arrow.names if column != without]
            for batch in file.iter_batches(32, columns=columns):
                for values in batch.to_pylist():
                    yield f"{number:06d}", values
                    number += 1
        except (pa.ArrowInvalid, OSError) as error:
            raise SidemanError(f"{path} cannot be read ({error}); download it again") from error


def _audio(values: Values, beside: Path, rate_hz: int, what: str) -> Samples:
    import soundfile

    audio = values.get("audio") or {}
    data, path = audio.get("bytes"), audio.get("path") or ""
    source: Any = io.BytesIO(data) if data else (beside / Path(path).name)
    if data and len(data) > MAX_CLIP_BYTES:
        raise SidemanError(f"SynTheory's {what} holds {len(data):,} bytes; it is no clip")
    try:
        with soundfile.SoundFile(source) as file:
            if file.frames > MAX_CLIP_S * file.samplerate:
                raise SidemanError(f"SynTheory's {what} is longer than {MAX_CLIP_S:g} s")
            frames = file.read(dtype="float32", always_2d=True)
            return resample(np.nan_to_num(frames.mean(axis=1)), rate_hz, int(file.samplerate))
    except (OSError, RuntimeError) as error:
        raise SidemanError(f"SynTheory's {what} has no audio that can be read ({error})") from error


def _seconds(path: Path) -> float:
    import soundfile

    return float(soundfile.info(path).duration)


def _class_of(name: str) -> int:
    return _NAMES.index(name)


def _note(place: str, values: Values) -> Clip:
    pitch, program = int(values["midi_note_val"]), int(values["midi_program_num"])
    split = split_of(program, pitch // 12)
    return Clip("notes", place, split, program, pitch // 12, str(pitch % 12), place, pitch, pitch % 12)


def _played(set_: str, place: str, values: Values, lowest: int, label: str, **labels: Any) -> Clip:
    program = int(values["midi_program_num"])
    return Clip(set_, place, PROGRAM_SPLIT.get(program, ""), program, lowest // 12, label, place, **labels)


def _interval(place: str, values: Values) -> Clip:
    low, size = int(values["midi_note_val"]), int(values["interval"])
    motion = _MOTIONS[str(values["play_style_name"]).lower()]
    return _played("intervals", place, values, low, str(size), root=low % 12, interval=size, motion=motion)


def _chord(place: str, values: Values) -> Clip:
    root, chord = int(values["root_note_pitch_class"]), _CHORD_NAMES[str(values["chord_type"])]
    inversion = _INVERSIONS[str(values["inversion"])]
    lowest = 60 + root + CHORDS[chord][inversion]
    return _played("chords", place, values, lowest, chord, root=root, chord=chord, inversion=inversion)


def _scale(place: str, values: Values) -> Clip:
    root, mode = _class_of(str(values["root_note_name"])), str(values["mode"])
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}")
    motion = _MOTIONS[str(values["play_style_name"]).lower()]
    return _played("scales", place, values, 60 + root, mode, root=root, mode=mode, motion=motion)


def _progression(place: str, values: Values) -> Clip:
    """Written there as "ionian-(1, 4, 5, 1)"."""
    mode, _, degrees = str(values["chord_progression"]).partition("-")
    numbers = tuple(int(number) for number in re.findall(r"\d+", degrees))
    if (mode, numbers) not in PROGRESSIONS:
        raise ValueError(f"progression {values['chord_progression']!r}")
    root, name = int(values["key_note_pitch_class"]), progression_name(mode, numbers)
    return _played("progressions", place, values, 60 + root, name, root=root, mode=mode, progression=name)


def _tempo(place: str, values: Values) -> Clip:
    bpm, click = float(values["bpm"]), str(values["click_config_name"])
    return Clip("tempos", place, CLICK_SPLIT[click], -1, -1, str(int(bpm) // 10), place, bpm=bpm, click=click)


def _signature(place: str, values: Values) -> Clip:
    beats, unit = int(values["time_signature_beats"]), int(values["time_signature_subdivision"])
    click, text = str(values["click_config_name"]), f"{beats}/{unit}"
    return Clip("signatures", place, CLICK_SPLIT[click], -1, -1, text, place, signature=text, click=click)


_READERS: dict[str, Callable[[str, Values], Clip]] = {
    "notes": _note, "intervals": _interval, "chords": _chord, "scales": _scale, "progressions": _progression,
    "tempos": _tempo, "signatures": _signature,
}  # fmt: skip
