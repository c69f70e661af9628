"""Batches: what becomes a shard each. Songs are rendered, prepared concepts and audio files are read.

A shard and the .json beside it with its clips depend on the batch alone, whichever worker makes it, so that a batch
whose .json is there, and was made of the same files, is done.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from offline.data.fluidsynth import Samples, SoundFont, find_font, resample, sixteen_bits
from offline.data.labels import Label
from offline.data.midi import UnusableError
from offline.data.split import fingerprint
from offline.musicgen.excerpts import excerpts, levelled
from offline.musicgen.index import SHARDS, Clip, write_shard
from offline.musicgen.prompts import concept_prompt, prompt_of
from offline.notes.reading import read_midi
from offline.steering.index import Row

QUIET = 1e-4
LOWEST_PITCH = 24
"""Of notes taken from the concepts: lower ones are hardly heard as such."""
SHORTEST_S = 1.0
MAX_AUDIO_S = 3600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What every batch is made with."""

    folder: Path
    font: Path | None
    seconds: float
    per_song: int
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Files of one kind for one shard; data[i] are the bytes of labels[i] (midi, audio), or there are rows (concepts).

    root: the prepared folder that the paths of rows are relative to
    """

    name: str
    source: str
    labels: tuple[Label, ...] = ()
    data: tuple[bytes, ...] = ()
    rows: tuple[Row, ...] = ()
    root: Path = Path()

    @property
    def files(self) -> list[str]:
        """Of what it is made."""
        return [label.path for label in self.labels] + [row.path for row in self.rows]

    def mark(self) -> str:
        """A digest of what goes in."""
        parts = [repr(label).encode() for label in self.labels] + [repr(row).encode() for row in self.rows]
        return fingerprint(*parts, *self.data)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a batch. refused: files that gave nothing, with the reason; old: it was there before."""

    clips: list[Clip]
    refused: dict[str, str]
    old: bool


def make(asked: Asked, batch: Batch) -> Made:
    """Make the shard of a batch, unless it is there. Raises SidemanError for a font that cannot be used."""
    shard = f"{SHARDS}/{batch.name}.flac"
    record = asked.folder / SHARDS / f"{batch.name}.json"
    mark = batch.mark()
    if found := _before(record, mark):
        return found
    refused: dict[str, str] = {}
    clips: list[Clip] = []
    parts: list[NDArray[np.int16]] = []
    at = 0
    for clip, samples in _clips(asked, batch, refused):
        whole = sixteen_bits(samples)
        if not len(whole) or float(np.abs(samples).max()) < QUIET:
            refused.setdefault(clip.origin, "silent")
            continue
        clips.append(replace(clip, shard=shard, start_frame=at, frames=len(whole)))
        parts.append(whole)
        at += len(whole)
    if parts:
        write_shard(asked.folder / shard, parts, asked.rate_hz)
    beside = record.with_name(f".{record.name}.part")
    told = {"mark": mark, "clips": [asdict(clip) for clip in clips], "refused": refused}
    beside.write_text(json.dumps(told, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(record)
    return Made(clips, refused, False)


def _before(record: Path, mark: str) -> Made | None:
    if not record.is_file():
        return None
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        if told["mark"] != mark:
            return None
        return Made([Clip(**clip) for clip in told["clips"]], dict(told["refused"]), True)
    except (ValueError, KeyError, TypeError):
        return None


def _clips(asked: Asked, batch: Batch, refused: dict[str, str]) -> Iterator[tuple[Clip, Samples]]:
    """Clips, their place in the shard left open, with their samples at asked.rate_hz."""
    if batch.source == "midi":
        yield from _songs(asked, batch, refused)
    elif batch.source == "concepts":
        yield from _concepts(asked, batch, refused)
    else:
        yield from _audio(asked, batch, refused)


def _songs(asked: Asked, batch: Batch, refused: dict[str, str]) -> Iterator[tuple[Clip, Samples]]:
    with SoundFont(find_font(asked.font)) as font:
        for label, data in zip(batch.labels, batch.data, strict=True):
            try:
                reading = read_midi(data)
            except UnusableError as reason:
                refused[label.path] = str(reason)
                continue
            any_clip = False
            for excerpt in excerpts(font, reading, asked.seconds, asked.per_song, asked.rate_hz):
                any_clip = True
                prompt = prompt_of(label.genre, excerpt.instruments, excerpt.bpm, excerpt.key)
                clip = _clip(asked, batch, label, prompt)
                yield (
                    replace(clip, instruments=",".join(excerpt.instruments), bpm=excerpt.bpm, key=excerpt.key),
                    excerpt.samples,
                )
            if not any_clip:
                refused[label.path] = "hardly any notes"


def _concepts(asked: Asked, batch: Batch, refused: dict[str, str]) -> Iterator[tuple[Clip, Samples]]:
    for row in batch.rows:
        try:
            samples, own_hz = _read(batch.root / row.path)
        except UnusableError as reason:
            refused[row.path] = str(reason)
            continue
        clip = Clip(
            "", 0, 0, asked.rate_hz, row.split, "concepts", f"program {row.program}", row.path, "", concept_prompt(row),
            bpm=row.bpm,
        )  # fmt: skip
        cut = samples[: round(asked.seconds * own_hz)]
        yield clip, levelled(resample(cut, asked.rate_hz, own_hz))


def _audio(asked: Asked, batch: Batch, refused: dict[str, str]) -> Iterator[tuple[Clip, Samples]]:
    """Stretches of audio files, one after the other; the kind of sound is the name of the file's folder."""
    for label, data in zip(batch.labels, batch.data, strict=True):
        try:
            samples, own_hz = _read(io.BytesIO(data))
        except UnusableError as reason:
            refused[label.path] = str(reason)
            continue
        own = resample(samples, asked.rate_hz, own_hz)
        length = round(asked.seconds * asked.rate_hz)
        if len(own) < SHORTEST_S * asked.rate_hz:
            refused[label.path] = f"shorter than {SHORTEST_S:g} s"
            continue
        kind = PurePosixPath(label.path).parent.name.replace("_", " ")
        style = label.style.replace("/", " ")
        prompt = prompt_of(", ".join(dict.fromkeys(word for word in (kind, style) if word)), (), label.bpm, "")
        for first in range(0, max(1, len(own) - length // 2), length):
            part = own[first : first + length]
            if len(part) >= SHORTEST_S * asked.rate_hz:
                yield replace(_clip(asked, batch, label, prompt), genre=style, bpm=label.bpm), levelled(part)


def _clip(asked: Asked, batch: Batch, label: Label, prompt: str) -> Clip:
    group = label.group or label.path
    return Clip("", 0, 0, asked.rate_hz, label.split, batch.source, group, label.path, label.licence, prompt,
                label.genre)  # fmt: skip


def _read(file: Path | io.BytesIO) -> tuple[Samples, int]:
    """Samples [N], both sides mixed, and their rate. Raises UnusableError."""
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            if sound.frames > MAX_AUDIO_S * sound.samplerate:
                raise UnusableError(f"longer than {MAX_AUDIO_S:g} s")
            frames = sound.read(dtype="float32", always_2d=True)
            rate_hz = int(sound.samplerate)
    except (OSError, RuntimeError) as error:
        raise UnusableError(f"no audio that can be read: {error}") from error
    return np.nan_to_num(frames.mean(axis=1)), rate_hz


def say(refused: dict[str, str]) -> str:
    """Reasons, each with how many files it refused."""
    reasons = Counter(refused.values()).most_common()
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons[:4])
