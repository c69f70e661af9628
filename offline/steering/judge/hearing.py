"""Hearing: all that is said of a cell's sounds, kept in a file, so that nothing is heard twice."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offline.steering.judge.basicpitch import basic_pitch
from offline.steering.judge.notes import NOBODY, Opinion, Sound, chord_of, note_of
from offline.steering.judge.probe import Probe
from offline.steering.judge.spectrum import bands_db, level_db
from offline.steering.judge.tempo import tempo_of

VERSION = 1
"""Of the judges; what another one said is not read."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What is said of N sounds.

    named:    [N] class by both estimators, -1: they abstain; basic, harmonic: by each alone
    bpm:      [N] nan where there is no pulse; voiced: [N] share of frames with a note, or 1 where there is a pulse
    probe:    [N] class, or bpm, by the seed's kind of judge; nan without one
    level_db: [N]; bands: float16 [N, frames, bands] in dB
    text:     [M] nats a code by which the codes are likelier with the text than without, of the first M
    """

    named: NDArray[np.int64]
    basic: NDArray[np.int64]
    harmonic: NDArray[np.int64]
    bpm: NDArray[np.float64]
    voiced: NDArray[np.float64]
    probe: NDArray[np.float64]
    level_db: NDArray[np.float64]
    bands: NDArray[np.float16]
    text: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.level_db)


def hear(sounds: Iterable[Sound], rate_hz: int, kind: str, probe: Probe | None) -> Heard:
    """Listen to sounds [samples] for a kind of concept. Raises SidemanError without the network that it takes."""
    listen = _listener(kind)
    opinions, bpm, guesses, levels, bands = [], [], [], [], []
    for sound in sounds:
        opinion, beats = listen(sound, rate_hz)
        opinions.append(opinion)
        bpm.append(math.nan if beats is None else beats)
        guesses.append(math.nan if probe is None else probe.guess(sound, rate_hz))
        levels.append(level_db(sound))
        bands.append(bands_db(sound, rate_hz).astype(np.float16))
    return Heard(
        named=np.array([each.named for each in opinions]), basic=np.array([each.basic for each in opinions]),
        harmonic=np.array([each.harmonic for each in opinions]), bpm=np.array(bpm),
        voiced=np.array([each.voiced for each in opinions]), probe=np.array(guesses), level_db=np.array(levels),
        bands=np.stack([each[: min(map(len, bands))] for each in bands]), text=np.zeros(0),
    )  # fmt: skip


def _listener(kind: str) -> Callable[[Sound, int], tuple[Opinion, float | None]]:
    if kind == "tempo":

        def pulse(sound: Sound, rate_hz: int) -> tuple[Opinion, float | None]:
            bpm = tempo_of(sound, rate_hz)
            return Opinion(NOBODY, NOBODY, float(bpm is not None)), bpm

        return pulse
    network, judge = basic_pitch(), {"note": note_of, "chord": chord_of}[kind]
    return lambda sound, rate_hz: (judge(sound, rate_hz, network(sound, rate_hz)), None)


def write(path: Path, arrays: dict[str, NDArray[np.generic]], told: str) -> None:
    """Write arrays, whole or not at all. told: what they depend on, beyond the file's name."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, told=np.array(told), allow_pickle=False, **arrays)
    part.replace(path)


def read(path: Path, told: str) -> dict[str, NDArray[np.generic]] | None:
    """What was written, or None where it was not, is damaged, or depends on something else."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files} if str(file["told"]) == told else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def keep(path: Path, heard: Heard, told: str) -> None:
    """Write what was heard."""
    write(path, {field.name: getattr(heard, field.name) for field in fields(Heard)}, told)


def kept(path: Path, told: str) -> Heard | None:
    """What was heard before, if it was."""
    arrays = read(path, told)
    names = [field.name for field in fields(Heard)]
    if arrays is None or not set(names) <= set(arrays):
        return None
    return Heard(**{name: arrays[name] for name in names})  # type: ignore[arg-type]
