"""`sideman prepare drums`: a folder or archive of MIDI files to a drum data set and a report of what became of each."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engines.errors import SidemanError
from engines.music import Meter
from offline.data.labels import NAMES, Label, labels_of
from offline.data.midi import UnusableError, read_drums
from offline.data.source import MAX_FILE_BYTES, Source
from offline.data.split import assign_splits, leaks
from offline.drums.dataset import SPLITS, DrumDataset, Piece
from offline.drums.quantise import Tally, quantise
from offline.drums.vocabulary import Vocabulary

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar")
VOCABULARY_FILE = "vocab_topN.json"
REPORT_FILE = "report.json"
_SHOWN = 12


@dataclass(slots=True)
class Found:
    """What was read: files[i] has labels[i] and gave pieces[i]."""

    labels: list[Label] = field(default_factory=list)
    pieces: list[list[Piece]] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    unlabelled: list[str] = field(default_factory=list)
    label_problems: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    midi_files: int = 0
    tally: Tally = field(default_factory=Tally)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman prepare drums`."""
    parser.add_argument("source", type=Path, help="folder or archive (.zip, .tar, .tar.gz, .tar.zst) of MIDI files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the data set goes")
    parser.add_argument("--vocab-cap", type=int, default=128, metavar="N", help="masks in the vocabulary [128]")
    parser.add_argument(
        "--drop-duplicates", action="store_true", help="drop from train what validation or test holds too"
    )
    parser.add_argument("--any-channel", action="store_true", help="read drums from every channel, not only from 10")
    parser.add_argument("--no-nc", action="store_true", help="leave out files whose licence is non-commercial")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")


def run(args: argparse.Namespace) -> int:
    """Prepare; returns 0. Raises SidemanError at a source without drums, or with duplicates across the split."""
    if not 1 <= args.vocab_cap <= 511:
        raise SidemanError(f"--vocab-cap {args.vocab_cap} must be from 1 to 511")
    if args.output.exists() and not args.output.is_dir():
        raise SidemanError(f"{args.output} is a file; name a folder for the data set")
    found = collect(args.source, args.any_channel, args.no_nc, progress=not args.quiet)
    if not found.labels:
        raise SidemanError(_nothing(args.source, found))
    splits = assign_splits(found.labels)
    duplicates = _drop_duplicates(found, splits, args.drop_duplicates)
    by_split = {
        split: [piece for own, pieces in zip(splits, found.pieces, strict=True) if own == split for piece in pieces]
        for split in SPLITS
    }
    report = _report(args, found, splits, by_split, duplicates)
    _write(args.output, by_split, report, args.vocab_cap)
    print(render(report))
    return 0


def collect(source_path: Path, any_channel: bool = False, no_nc: bool = False, progress: bool = False) -> Found:
    """Read every MIDI file of a source once; whatever is wrong with one is noted and does not stop the others."""
    source = Source(source_path)
    found = Found()
    labels = labels_of(source)
    found.label_problems = labels.problems
    read: list[tuple[Label, list[Piece]]] = []
    seen = set()
    for entry in source.read(lambda name: MAX_FILE_BYTES if name.lower().endswith(MIDI_SUFFIXES) else 0):
        path = entry.path.removeprefix(labels.root)
        is_midi = path.lower().endswith(MIDI_SUFFIXES)
        if not is_midi and not entry.problem:
            if PurePosixPath(path).name not in NAMES:
                found.ignored[PurePosixPath(path).suffix.lower() or "no suffix"] += 1
            continue
        found.midi_files += is_midi
        seen.add(path)
        label = labels.rows.get(path) or Label(path)
        if labels.rows and path not in labels.rows:
            found.unlabelled.append(path)
        try:
            if entry.data is None:
                raise UnusableError(entry.problem)
            if no_nc and label.nc:
                raise UnusableError("non-commercial licence (--no-nc)")
            pieces = quantise(read_drums(entry.data, any_channel), label, found.tally)
            if not pieces:
                raise UnusableError("no whole bar of a metre with drums in it")
        except UnusableError as reason:
            found.dropped[path] = str(reason)
            continue
        read.append((label, pieces))
        if progress and found.midi_files % 50 == 0:
            print(f"\r{found.midi_files} files read", end="", file=sys.stderr, flush=True)
    if progress and found.midi_files >= 50:
        print(f"\r{found.midi_files} files read", file=sys.stderr)
    for path in labels.rows.keys() - seen:
        found.dropped[path] = "named in the labels, but there is no such MIDI file"
    read.sort(key=lambda pair: pair[0].path)
    found.labels = [label for label, _ in read]
    found.pieces = [pieces for _, pieces in read]
    return found


def _nothing(source: Path, found: Found) -> str:
    if not found.midi_files:
        return f"{source} holds no MIDI files (.mid, .midi); give the folder or archive that does"
    path, reason = next(iter(found.dropped.items()))
    return f"none of the {found.midi_files} MIDI files in {source} gives drums; the first, {path}: {reason}"


def _drop_duplicates(found: Found, splits: list[str], allowed: bool) -> dict[str, str]:
    """Take out of train what validation or test holds too, and out of validation what test holds.

    Returns the paths that lost a piece, each with the path of its twin. Raises SidemanError unless allowed.
    """
    where = [(f, p) for f, pieces in enumerate(found.pieces) for p in range(len(pieces))]
    pairs = leaks([splits[f] for f, _ in where], [found.pieces[f][p].fingerprint() for f, p in where])
    twins = [(where[i], where[j][0]) for i, j in pairs]
    if pairs and not allowed:
        shown = [
            f"{found.labels[f].path} ({splits[f]}) = {found.labels[twin].path} ({splits[twin]})"
            for (f, _), twin in twins[:3]
        ]
        raise SidemanError(
            f"{len(pairs)} pieces occur in two splits: {'; '.join(shown)}{', and more' if len(pairs) > 3 else ''}. "
            "Give such files one group in labels.csv, or pass --drop-duplicates to take them out of train"
        )
    gone = {place for place, _ in twins}
    for f, pieces in enumerate(found.pieces):
        found.pieces[f] = [piece for p, piece in enumerate(pieces) if (f, p) not in gone]
    return {found.labels[f].path: found.labels[twin].path for (f, _), twin in twins}


def _report(
    args: argparse.Namespace,
    found: Found,
    splits: Sequence[str],
    by_split: dict[str, list[Piece]],
    duplicates: dict[str, str],
) -> dict[str, Any]:
    bars: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    licences: Counter[str] = Counter()
    for split, pieces in by_split.items():
        for piece in pieces:
            bars.setdefault(str(piece.meter), dict.fromkeys(SPLITS, 0))[split] += piece.bar_count
            sources.setdefault(piece.source or "unnamed", dict.fromkeys(SPLITS, 0))[split] += piece.bar_count
            licences[piece.licence or "unknown"] += piece.bar_count
    tally = found.tally
    return {
        "source": args.source.name,
        "vocab_cap": args.vocab_cap,
        "midi_files": found.midi_files,
        "files_used": len(found.labels),
        "files_per_split": {split: splits.count(split) for split in SPLITS},
        "pieces_per_split": {split: len(pieces) for split, pieces in by_split.items()},
        "bars_per_meter": dict(sorted(bars.items(), key=lambda item: -sum(item[1].values()))),
        "bars_per_source": dict(sorted(sources.items())),
        "bars_per_licence": dict(licences.most_common()),
        "hits": tally.hits,
        "left_out": {
            "percussion outside the nine-piece kit": tally.other_notes,
            "hits doubled on one step": tally.doubled_hits,
            "hits in a bar cut by a change of metre": tally.hits_in_cut_bars,
            "hits in a metre that is not read": tally.hits_in_odd_meters,
            "silent bars around the playing": tally.rest_bars,
            "last bars with only their first step": tally.ending_bars,
        },
        "odd_meters": sorted(set(tally.odd_meters)),
        "dropped": dict(sorted(found.dropped.items())),
        "duplicates_dropped": dict(sorted(duplicates.items())),
        "unlabelled": sorted(found.unlabelled),
        "label_problems": found.label_problems,
        "other_files_ignored": dict(found.ignored.most_common()),
    }


def render(report: dict[str, Any]) -> str:
    """The report as text; every dropped file is a line with its reason."""
    lines = [f"{report['source']}: {report['midi_files']} MIDI files, {report['files_used']} used"]
    lines.append(f"{'bars':<28}" + "".join(f"{split:>12}" for split in SPLITS))
    for title, table in (("", report["bars_per_meter"]), ("", report["bars_per_source"])):
        for name, row in table.items():
            lines.append(f"  {title}{name[:26]:<26}" + "".join(f"{row[split]:>12,}" for split in SPLITS))
    lines.append(f"{'files':<28}" + "".join(f"{report['files_per_split'][split]:>12,}" for split in SPLITS))
    lines.append(f"hits: {report['hits']:,}; left out:")
    lines += [f"  {count:,} {what}" for what, count in report["left_out"].items() if count]
    for title, paths in (
        ("metre not read in part of", report["odd_meters"]),
        ("read without labels", report["unlabelled"]),
        ("not understood", report["label_problems"]),
    ):
        if paths:
            more = f", and {len(paths) - _SHOWN} more in {REPORT_FILE}" if len(paths) > _SHOWN else ""
            lines.append(f"{title} ({len(paths)}): {', '.join(paths[:_SHOWN])}{more}")
    if report["other_files_ignored"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["other_files_ignored"].items())
        lines.append(f"other files ignored: {kinds}")
    if report["duplicates_dropped"]:
        lines.append(f"{len(report['duplicates_dropped'])} files lost pieces that another split holds too")
    if report["dropped"]:
        lines.append(f"files dropped ({len(report['dropped'])}):")
        lines += [f"  {path}: {reason}" for path, reason in report["dropped"].items()]
    if report["pieces_per_split"]["train"] and not report["pieces_per_split"]["validation"]:
        lines.append("no validation split: training needs one; give files of more than one song or group")
    return "\n".join(lines)


def _write(folder: Path, by_split: dict[str, list[Piece]], report: dict[str, Any], vocab_cap: int) -> None:
    """Write everything beside the folder first, then move it in; what an earlier run left under these names goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.part", dir=folder.parent) as name:
        partial = Path(name)
        for split, pieces in by_split.items():
            if pieces:
                DrumDataset.of(pieces).save(partial / f"{split}.npz")
        common = [piece.masks for piece in by_split["train"] if piece.meter == Meter(4, 4)]
        if common:
            import numpy as np

            Vocabulary.of(np.concatenate(common), vocab_cap).save(partial / VOCABULARY_FILE)
        (partial / REPORT_FILE).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
        folder.mkdir(exist_ok=True)
        for file in (*(f"{split}.npz" for split in SPLITS), VOCABULARY_FILE, REPORT_FILE):
            if (partial / file).exists():
                (partial / file).replace(folder / file)
            else:
                (folder / file).unlink(missing_ok=True)
