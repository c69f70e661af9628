"""Gather: every MIDI file of a source read once by workers, then the files that are used and the split each is in."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from engines.errors import SidemanError
from offline.data.labels import NAMES, Label, Labels, labels_of
from offline.data.midi import UnusableError
from offline.data.source import MAX_FILE_BYTES, Source
from offline.data.split import assign_splits, leaks
from offline.data.workers import each
from offline.notes.genres import GenreTable, placed
from offline.notes.index import Row
from offline.notes.parts import Facts, Job, make, part_name, read_facts

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar")
_PROGRESS_S = 1.0
_MEANINGLESS = ("none", "fixed", "constant", "random", "rand")
"""Words of a label's `velocity` column, anywhere in it, that say that velocities are nobody's."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a file gave: the file in which it is kept, and its facts."""

    path: Path
    facts: Facts


@dataclass(slots=True)
class Gathered:
    """What was found in a source.

    labels:   of the files that gave something, parts: what they gave, by path
    dropped:  why another file gave nothing
    resumed:  how many were read by an earlier run
    """

    labels: dict[str, Label] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unlabelled: list[str] = field(default_factory=list)
    label_problems: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    midi_files: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """A file of the data set: its row of the index, and its part."""

    row: Row
    part: Part


@dataclass(frozen=True, slots=True)
class Reader:
    """How a source is read.

    parts:   folder for what files give, kept until the run has ended
    table:   genres where the labels have none; None: there are no more
    workers: processes; 0 works in this one
    """

    source: Source
    parts: Path
    table: GenreTable | None = None
    workers: int = 0
    no_nc: bool = False
    tokens: bool = True
    progress: bool = False

    def gather(self) -> Gathered:
        """Read every MIDI file once; whatever is wrong with one is noted and does not stop the others."""
        labels = labels_of(self.source)
        self.parts.mkdir(parents=True, exist_ok=True)
        found = Gathered(label_problems=labels.problems)
        started = shown = time.monotonic()
        for job, made in each(make, self._jobs(found, labels), self.workers):
            if isinstance(made, UnusableError):
                found.dropped[job.path] = str(made)
            else:
                found.parts[job.path] = Part(job.part, made)
            now = time.monotonic()
            if self.progress and now - shown > _PROGRESS_S:
                shown = now
                done = len(found.parts) + len(found.dropped)
                print(f"\r{done:,} files, {done / (now - started):.3g} a second ", end="", file=sys.stderr, flush=True)
        if self.progress and shown > started:
            print(file=sys.stderr)
        return found

    def _jobs(self, found: Gathered, labels: Labels) -> Iterator[Job]:
        """The files to read; those of which an earlier run left a part, or nothing can come, are noted."""
        before = {part.name for part in self.parts.iterdir()}
        seen = set()
        for entry in self.source.read(lambda name: MAX_FILE_BYTES if name.lower().endswith(MIDI_SUFFIXES) else 0):
            path = entry.path.removeprefix(labels.root)
            is_midi = path.lower().endswith(MIDI_SUFFIXES)
            if path in seen or (not is_midi and not entry.problem):
                if not is_midi and PurePosixPath(path).name not in NAMES:
                    found.ignored[PurePosixPath(path).suffix.lower() or "no suffix"] += 1
                continue
            seen.add(path)
            found.midi_files += is_midi
            if labels.rows and path not in labels.rows:
                found.unlabelled.append(path)
            label = placed(labels.rows.get(path) or Label(path), self.table)
            if entry.data is None:
                found.dropped[path] = entry.problem
            elif self.no_nc and label.nc:
                found.dropped[path] = "non-commercial licence (--no-nc)"
            else:
                found.labels[path] = label
                job = self._job(label, entry.data)
                facts = read_facts(job.part) if job.part.name in before else None
                if facts is None:
                    yield job
                else:
                    found.parts[path] = Part(job.part, facts)
                    found.resumed += 1
        for path in labels.rows.keys() - seen:
            found.dropped[path] = "named in the labels, but there is no such MIDI file"

    def _job(self, label: Label, data: bytes) -> Job:
        velocities = meant(label)
        return Job(label.path, data, velocities, self.tokens, self.parts / part_name(data, velocities, self.tokens))


def meant(label: Label) -> bool:
    """Whether velocities may mean something, by the labels: not those that a machine arranged or drew at random."""
    return "synthetic" not in label.origin and not any(word in label.velocity for word in _MEANINGLESS)


def divide(found: Gathered) -> tuple[list[Used], dict[str, str]]:
    """The files used, by path; and those that are not because another of the same notes is, with its path.

    What train shares with validation or test is left out of train. Of the same notes in one split, in any key and at
    any tempo, the first file by path stays.
    """
    paths = sorted(found.parts)
    splits = assign_splits([found.labels[path] for path in paths])
    prints = [found.parts[path].facts.fingerprint for path in paths]
    twins = dict(leaks(splits, prints))
    first: dict[tuple[str, str], int] = {}
    used = []
    for i, path in enumerate(paths):
        if i not in twins:
            twin = first.setdefault((splits[i], prints[i]), i)
            if twin == i:
                used.append(_used(found.labels[path], splits[i], found.parts[path]))
            else:
                twins[i] = twin
    return used, {paths[i]: paths[j] for i, j in sorted(twins.items())}


def _used(label: Label, split: str, part: Part) -> Used:
    facts = part.facts
    row = Row(
        label.path, label.genre, label.subgenre, label.source, label.licence, label.nc, label.group, split,
        facts.fingerprint, facts.performed, facts.velocity, facts.notes, facts.bars, facts.seconds,
    )  # fmt: skip
    return Used(row, part)


def nothing(source: Path, found: Gathered) -> SidemanError:
    """What to say where no file gave anything."""
    if not found.midi_files:
        return SidemanError(f"{source} holds no MIDI files (.mid, .midi); give the folder or archive that does")
    path, reason = next(iter(sorted(found.dropped.items())))
    return SidemanError(
        f"none of the {found.midi_files} MIDI files in {source} gives notes; the first, {path}: {reason}"
    )
