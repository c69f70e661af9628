"""`sideman prepare musicgen`: audio with true prompts for a model of our own, out of MIDI, concepts and audio files.

Songs are rendered with FluidSynth and said in words (genre, instruments, tempo, key); the clips of prepare steering are
taken with their labels as prompts; audio files with what their labels say. Splits are by song (offline/data/split.py),
and the concepts' own. Files whose licence is non-commercial are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from engines.errors import SidemanError
from offline.data.fluidsynth import find_font, library
from offline.data.labels import SPLITS, Label, labels_of
from offline.data.midi import UnusableError
from offline.data.source import MAX_FILE_BYTES, Source
from offline.data.split import assign_splits
from offline.data.workers import cores, each
from offline.musicgen.batches import LOWEST_PITCH, Asked, Batch, make, say
from offline.musicgen.index import INDEX, SHARDS, SOURCES, Clip, write_index
from offline.steering.index import read_index as read_concepts

MIDI = (".mid", ".midi", ".smf", ".kar")
AUDIO = (".wav", ".ogg", ".flac", ".aif", ".aiff", ".mp3")
MAX_AUDIO_BYTES = 256 << 20
SONGS_A_SHARD, CONCEPTS_A_SHARD, FILES_A_SHARD = 48, 256, 16
SETTINGS = "settings.json"
VERSION = 1
_MAX_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman prepare musicgen`."""
    parser.add_argument("--midi", type=Path, metavar="SOURCE", help="folder or archive of MIDI files, with labels.csv")
    parser.add_argument("--concepts", type=Path, metavar="FOLDER", help="a folder from prepare steering")
    parser.add_argument("--audio", type=Path, metavar="SOURCE", help="folder or archive of audio, with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where shards and index go")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="longest clip [8]")
    parser.add_argument("--per-song", type=int, default=2, metavar="N", help="clips of a song [2]")
    parser.add_argument("--rate", type=int, default=16_000, metavar="HZ", help="sample rate [16000]")
    parser.add_argument("--font", type=Path, metavar="FILE.sf2", help="sound font of the songs [TimGM6mb]")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; 0 works in this one [one a core]")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")


def run(args: argparse.Namespace) -> int:
    """Prepare; returns 0. Raises SidemanError for a mistake, or if nothing comes of it."""
    workers = cores() if args.workers is None else args.workers
    _check(args, workers)
    font = None
    if args.midi is not None:
        library()  # a machine without FluidSynth says so before anything is begun
        font = find_font(args.font)
    asked = Asked(args.output, font, args.seconds, args.per_song, args.rate)
    (args.output / SHARDS).mkdir(parents=True, exist_ok=True)
    _begin(asked)
    began = time.perf_counter()
    clips: list[Clip] = []
    refused: dict[str, str] = {}
    old = 0
    for batch, made in each(partial(make, asked), _batches(args), workers):
        if isinstance(made, UnusableError):  # a file kills the process that reads it; which one is not known
            refused |= dict.fromkeys(batch.files, str(made))
            continue
        clips += made.clips
        refused |= made.refused
        old += len(made.clips) * made.old
        if not args.quiet:
            print(f"\r{len(clips):,} clips", end="", file=sys.stderr, flush=True)
    if not clips:
        raise SidemanError(
            f"nothing came of it: {say(refused) or 'there are no files'}; see --midi, --concepts, --audio"
        )
    clips.sort(key=_place)
    write_index(args.output, clips)
    if not args.quiet:
        print(file=sys.stderr)
    print(render(clips, refused, old, time.perf_counter() - began))
    print(f"{args.output / INDEX}: train a codec with: sideman train codec {args.output}")
    return 0


def render(clips: list[Clip], refused: dict[str, str], old: int, seconds: float) -> str:
    """The report: hours by source and split, what was left out, and how long it took."""
    lengths: Counter[tuple[str, str]] = Counter()
    for clip in clips:
        lengths[clip.source, clip.split] += round(clip.seconds * 1000)
    lines = [f"{'hours':<16}" + "".join(f"{split:>12}" for split in SPLITS)]
    for source in SOURCES:
        if any(lengths[source, split] for split in SPLITS):
            row = "".join(f"{lengths[source, split] / 3.6e6:>12.2f}" for split in SPLITS)
            lines.append(f"  {source:<14}{row}")
    licences = Counter(clip.licence or "synthesised or not told" for clip in clips)
    lines.append("licences: " + ", ".join(f"{name} {count:,}" for name, count in licences.most_common()))
    lines.append(f"{len(clips):,} clips, {old:,} of them there before, in {seconds:.0f} s")
    if refused:
        lines.append(f"{len(refused):,} files left out: {say(refused)}")
    return "\n".join(lines)


def _check(args: argparse.Namespace, workers: int) -> None:
    if args.midi is None and args.concepts is None and args.audio is None:
        raise SidemanError("give something to prepare: --midi SOURCE, --concepts FOLDER or --audio SOURCE")
    if not 1.0 <= args.seconds <= 120.0:
        raise SidemanError(f"--seconds {args.seconds:g} must be from 1 to 120")
    if not 1 <= args.per_song <= 1000:
        raise SidemanError(f"--per-song {args.per_song} must be from 1 to 1000")
    if not 8_000 <= args.rate <= 96_000:
        raise SidemanError(f"--rate {args.rate} must be from 8000 to 96000")
    if not 0 <= workers <= _MAX_WORKERS:
        raise SidemanError(f"--workers {workers} must be from 0 to {_MAX_WORKERS}")
    if args.output.exists() and not args.output.is_dir():
        raise SidemanError(f"{args.output} is a file; name a folder for the data set")


def _begin(asked: Asked) -> None:
    """settings.json: what all shards of a folder are made with."""
    sha256 = ""
    if asked.font is not None:
        with asked.font.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    settings = {
        "version": VERSION, "seconds": asked.seconds, "per_song": asked.per_song, "rate_hz": asked.rate_hz,
        "font": sha256,
    }  # fmt: skip
    path = asked.folder / SETTINGS
    text = json.dumps(settings, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise SidemanError(
            f"{asked.folder} was begun with other settings or another font: give the same, or another -o"
        )
    path.write_text(text, encoding="utf-8")


def _batches(args: argparse.Namespace) -> Iterator[Batch]:
    if args.concepts is not None:
        rows = [row for row in read_concepts(args.concepts) if row.pitch is None or row.pitch >= LOWEST_PITCH]
        for number, first in enumerate(range(0, len(rows), CONCEPTS_A_SHARD)):
            part = tuple(rows[first : first + CONCEPTS_A_SHARD])
            yield Batch(f"concepts-{number:05d}", "concepts", rows=part, root=args.concepts)
    if args.midi is not None:
        yield from _files(args.midi, "midi", MIDI, MAX_FILE_BYTES, SONGS_A_SHARD)
    if args.audio is not None:
        yield from _files(args.audio, "audio", AUDIO, MAX_AUDIO_BYTES, FILES_A_SHARD)


def _files(path: Path, name: str, suffixes: tuple[str, ...], limit: int, together: int) -> Iterator[Batch]:
    """Batches of a source's files that may be used commercially, each labelled with the split of its song."""
    source = Source(path)
    told = labels_of(source)
    found: list[Label] = []
    for entry in source.read(lambda _: 0):
        own = entry.path.removeprefix(told.root)
        if own.lower().endswith(suffixes):
            label = told.rows.get(own) or Label(own)
            if not label.nc:
                found.append(label)
    found.sort(key=_path)
    splits = assign_splits(found)
    labels = {label.path: replace(label, split=split) for label, split in zip(found, splits, strict=True)}
    taken: list[tuple[Label, bytes]] = []
    number = 0
    for entry in source.read(lambda entry: limit if entry.removeprefix(told.root) in labels else 0):
        chosen = labels.get(entry.path.removeprefix(told.root))
        if chosen is None or entry.data is None:
            continue
        taken.append((chosen, entry.data))
        if len(taken) == together:
            yield _batch(name, number, taken)
            number, taken = number + 1, []
    if taken:
        yield _batch(name, number, taken)


def _batch(name: str, number: int, taken: list[tuple[Label, bytes]]) -> Batch:
    labels, data = zip(*taken, strict=True)
    return Batch(f"{name}-{number:05d}", name, tuple(labels), tuple(data))


def _path(label: Label) -> str:
    return label.path


def _place(clip: Clip) -> tuple[str, int]:
    return clip.shard, clip.start_frame
