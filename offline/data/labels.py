"""Labels: what a labels.csv says about the files beside it.

A row needs only `path`, relative to the labels.csv. Known columns are checked and used, others are left alone. The
Groove MIDI Dataset's own info.csv (midi_filename, session, ...) is read as it comes.
"""

from __future__ import annotations

import csv
import io
import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath

from engines.errors import SidemanError
from offline.data.source import MAX_LABEL_BYTES, Source

NAMES = ("labels.csv", "info.csv")
SPLITS = ("train", "validation", "test")

_ALIASES = {"midi_filename": "path", "session": "group", "license": "licence", "valid": "validation"}
_YES = {"true", "1", "yes", "y"}
_NO = {"", "false", "0", "no", "n"}
_TEXT_LIMIT = 200
_GROOVE = "Groove MIDI Dataset v1.0.0"


@dataclass(frozen=True, slots=True)
class Label:
    """One row. "" and None mean that the labels do not say.

    style: what drums call it; genre, subgenre: what notes call it
    fill: the beat_type column, True for a fill, False for a beat; bpm: 20-999; split: one of SPLITS
    velocity: how the velocities came about, a word such as "human"; origin: likewise the notes ("real piece")
    """

    path: str
    style: str = ""
    source: str = ""
    licence: str = ""
    split: str = ""
    group: str = ""
    bpm: float | None = None
    fill: bool | None = None
    nc: bool = False
    genre: str = ""
    subgenre: str = ""
    velocity: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """All labels of a source.

    rows:     by the path of their file, without root
    root:     the one folder that holds everything in an archive, with its slash ("" if there is none): paths leave it
              out, so that a folder and its archive give the same data
    problems: a line per value that was not understood
    """

    rows: dict[str, Label]
    root: str
    problems: list[str]


def labels_of(source: Source) -> Labels:
    """The labels of a source, from every file of NAMES in it. Raises SidemanError as read_labels and Source do."""
    rows: dict[str, Label] = {}
    problems: list[str] = []
    tops = set()
    tables = []
    for entry in source.read(lambda name: MAX_LABEL_BYTES if PurePosixPath(name).name in NAMES else 0):
        tops.add(entry.path.partition("/")[0] if "/" in entry.path else "")
        if entry.data is not None:
            tables.append((entry.path, entry.data))
    root = f"{tops.pop()}/" if len(tops) == 1 and "" not in tops and not source.path.is_dir() else ""
    for path, data in tables:
        own, doubts = read_labels(path.removeprefix(root), data)
        rows |= own
        problems += doubts
    return Labels(rows, root, problems)


def read_labels(path: str, data: bytes) -> tuple[dict[str, Label], list[str]]:
    """Read one labels file.

    path: its name inside the source; its rows are relative to its folder
    Returns the labels by the path of their file, and one line per value that was not understood.
    Raises SidemanError when it is no such table at all.
    """
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        columns = {_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in rows.fieldnames or ()}
        if "path" not in columns:
            raise SidemanError(f"{path} has no column path; name each MIDI file there, relative to {path}")
        folder = posixpath.dirname(path)
        own = "midi_filename" in (rows.fieldnames or ())
        labels: dict[str, Label] = {}
        problems: list[str] = []
        for row in rows:
            values = {
                _ALIASES.get(k.strip().lower(), k.strip().lower()): v.strip()
                for k, v in row.items()
                if isinstance(k, str) and isinstance(v, str)
            }
            label = _label(values, folder, own, f"{path} line {rows.line_num}", problems)
            if label is None:
                continue
            if label.path in labels:
                problems.append(f"{path} line {rows.line_num}: {label.path} is named twice, the first row counts")
            labels.setdefault(label.path, label)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise SidemanError(f"{path} is no CSV in UTF-8 ({problem}); save it as one, or rename it") from problem
    return labels, problems


def _label(values: dict[str, str], folder: str, own: bool, where: str, problems: list[str]) -> Label | None:
    name = values.get("path", "").replace("\\", "/")
    if not name:
        problems.append(f"{where}: no path, row ignored")
        return None
    path = posixpath.normpath(posixpath.join(folder, name))

    def text(column: str) -> str:
        return values.get(column, "")[:_TEXT_LIMIT]

    def doubt(column: str, choice: str) -> None:
        problems.append(f"{where}: {column} {values[column]!r:.40} is not {choice}, taken as unknown")

    bpm: float | None = None
    if values.get("bpm"):
        try:
            bpm = float(values["bpm"])
        except ValueError:
            bpm = None
        if bpm is None or not 20 <= bpm <= 999:
            doubt("bpm", "a tempo from 20 to 999")
            bpm = None
    kind = values.get("beat_type", "").lower()
    if kind not in ("", "beat", "fill"):
        doubt("beat_type", "beat or fill")
    split = _ALIASES.get(text("split").lower(), text("split").lower())
    if split not in ("", *SPLITS):
        doubt("split", "train, validation or test")
        split = ""
    nc = values.get("nc", "").lower()
    if nc not in _YES | _NO:
        problems.append(f"{where}: nc {values['nc']!r:.40} is not true or false, taken as true (non-commercial)")
    style = text("style").lower()
    if own:
        style = style.partition("/")[0]
    return Label(
        path=path,
        style=style[:40],
        source=text("source") or (_GROOVE if own else ""),
        licence=text("licence") or ("CC-BY-4.0" if own else ""),
        split=split,
        group=text("group"),
        bpm=bpm,
        fill={"fill": True, "beat": False}.get(kind),
        nc=nc not in _NO,
        genre=text("genre").lower()[:40],
        subgenre=text("subgenre").lower()[:80],
        velocity=text("velocity").lower(),
        origin=text("origin").lower(),
    )
