"""Report: what became of every file of a source that a data set of notes was made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offline.data.labels import SPLITS
from offline.notes.gather import Gathered, Used
from offline.notes.index import Row
from offline.notes.tokens import NO_GENRE, Tokeniser

_SHOWN = 12
_SHOWN_A_REASON = 4
REPORT_FILE = "report.json"


def report_of(
    source: str, found: Gathered, used: Sequence[Used], duplicates: Mapping[str, str], tokeniser: Tokeniser | None
) -> dict[str, Any]:
    """The report, for report.json: the same for the same source and settings."""
    return {
        "source": source,
        "midi_files": found.midi_files,
        "files_used": len(used),
        "files_per_split": {split: sum(one.row.split == split for one in used) for split in SPLITS},
        "notes_per_source": _sums(used, lambda row: row.source or "unnamed", lambda row: row.notes),
        "files_per_genre": _sums(used, lambda row: row.genre or NO_GENRE, lambda row: 1),
        "notes_per_licence": _sums(used, lambda row: row.licence or "unknown", lambda row: row.notes),
        "notes": sum(one.row.notes for one in used),
        "bars": sum(one.row.bars for one in used),
        "beats_found_by_ear": sum(one.row.performed for one in used),
        "velocities_that_mean_nothing": sum(not one.row.velocity for one in used),
        "vocabulary": len(tokeniser.names) if tokeniser else 0,
        "tokens_cut_at_their_last_bar": sorted(
            one.row.path for one in used if tokeniser and one.part.facts.token_bars > tokeniser.max_bars
        ),
        "dropped": dict(sorted(found.dropped.items())),
        "duplicates": dict(sorted(duplicates.items())),
        "unlabelled": sorted(found.unlabelled),
        "label_problems": found.label_problems,
        "other_files_ignored": dict(found.ignored.most_common()),
    }


def render(report: Mapping[str, Any]) -> str:
    """The report as text; dropped files are lines with their reasons, many of one reason a line together."""
    lines = [f"{report['source']}: {report['midi_files']:,} MIDI files, {report['files_used']:,} used"]
    for title, rows in (("notes", report["notes_per_source"]), ("files", report["files_per_genre"])):
        lines.append(f"{title:<28}" + "".join(f"{split:>12}" for split in SPLITS))
        lines += [_row(f"  {name[:26]}", row) for name, row in rows.items()]
    lines.append(_row("files", report["files_per_split"]))
    lines.append(f"{report['notes']:,} notes in {report['bars']:,} bars")
    for count, what in (
        (report["beats_found_by_ear"], "files whose beats or bars were found by ear"),
        (report["velocities_that_mean_nothing"], "files whose velocities mean nothing"),
        (
            len(report["tokens_cut_at_their_last_bar"]),
            "files with more bars than there are numbers: their tokens are cut",
        ),
        (len(report["duplicates"]), "files left out for holding the same notes as another, in whatever key"),
    ):
        if count:
            lines.append(f"{count:,} {what}")
    if report["vocabulary"]:
        lines.append(f"vocabulary of the tokens: {report['vocabulary']:,}")
    for title, paths in (("read without labels", report["unlabelled"]), ("not understood", report["label_problems"])):
        if paths:
            more = f", and {len(paths) - _SHOWN} more in {REPORT_FILE}" if len(paths) > _SHOWN else ""
            lines.append(f"{title} ({len(paths)}): {', '.join(paths[:_SHOWN])}{more}")
    if report["other_files_ignored"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["other_files_ignored"].items())
        lines.append(f"other files ignored: {kinds}")
    lines += _dropped(report["dropped"])
    if report["files_per_split"]["train"] and not report["files_per_split"]["validation"]:
        lines.append("no validation split: training needs one; give files of more than one song or group")
    return "\n".join(lines)


def _dropped(dropped: Mapping[str, str]) -> list[str]:
    """A line for each reason: how many, and the first files; every file is in the report."""
    if not dropped:
        return []
    lines = [f"files dropped ({len(dropped)}), all named in {REPORT_FILE}:"]
    for reason, count in Counter(dropped.values()).most_common():
        paths = [path for path, own in dropped.items() if own == reason]
        more = f", and {count - _SHOWN_A_REASON} more" if count > _SHOWN_A_REASON else ""
        lines.append(f"  {reason} ({count}): {', '.join(paths[:_SHOWN_A_REASON])}{more}")
    return lines


def _row(name: str, counts: Mapping[str, int]) -> str:
    return f"{name:<28}" + "".join(f"{counts[split]:>12,}" for split in SPLITS)


def _sums(used: Sequence[Used], name: Callable[[Row], str], amount: Callable[[Row], int]) -> dict[str, dict[str, int]]:
    """Amounts by name and split, by name in alphabetical order."""
    sums: dict[str, dict[str, int]] = {}
    for one in used:
        sums.setdefault(name(one.row), dict.fromkeys(SPLITS, 0))[one.row.split] += amount(one.row)
    return dict(sorted(sums.items()))
