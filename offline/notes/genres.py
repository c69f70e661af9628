"""Genres of files without labels: a table by artist or path, of files laid out as Artist/Song.mid."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from engines.errors import SidemanError
from offline.data.labels import Label
from offline.data.source import MAX_LABEL_BYTES

_ALIASES = {"file": "path", "filename": "path", "midi": "path", "folder": "artist", "label": "genre", "style": "genre"}
_TEXT_LIMIT = 40
_COPY = re.compile(r"\.\d+$")
"""What Lakh puts after the name of another file of the same song: Song.1.mid."""


@dataclass(frozen=True, slots=True)
class GenreTable:
    """Genre by path and by artist, both in small letters."""

    by_path: Mapping[str, str]
    by_artist: Mapping[str, str]

    def genre(self, path: str) -> str:
        """Of a file, by its path, else by its artist (the name of its folder); "" where the table has neither."""
        own = path.lower()
        return (
            self.by_path.get(own) or self.by_path.get(PurePosixPath(own).name) or self.by_artist.get(_artist(own), "")
        )


def read_genres(path: Path) -> GenreTable:
    """Read a CSV with a column genre, and a column path or artist or both.

    A path may leave out its folders. Of two rows about one file or artist the first counts.
    Raises SidemanError when it is missing or no such table.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LABEL_BYTES + 1)
    except OSError as problem:
        raise SidemanError(
            f"{path}: {problem.strerror}; give a CSV with columns artist (or path) and genre"
        ) from problem
    if len(data) > MAX_LABEL_BYTES:
        raise SidemanError(f"{path} is larger than {MAX_LABEL_BYTES >> 20} MB; no table of genres is")
    by_path: dict[str, str] = {}
    by_artist: dict[str, str] = {}
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        names = {name: _ALIASES.get(name.strip().lower(), name.strip().lower()) for name in rows.fieldnames or ()}
        if "genre" not in names.values() or not {"path", "artist"} & set(names.values()):
            own = ", ".join(list(names)[:8]) or "no columns"
            raise SidemanError(f"{path} needs a column genre, and a column artist or path; it has {own}")
        for row in rows:
            values = {names[k]: v.strip() for k, v in row.items() if isinstance(v, str) and k in names}
            genre = values.get("genre", "").lower()[:_TEXT_LIMIT]
            if genre and values.get("path"):
                by_path.setdefault(values["path"].replace("\\", "/").lower(), genre)
            elif genre and values.get("artist"):
                by_artist.setdefault(values["artist"].lower(), genre)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise SidemanError(f"{path} is no CSV in UTF-8 ({problem}); save it as one") from problem
    if not by_path and not by_artist:
        raise SidemanError(f"{path} names no genre of any file or artist")
    return GenreTable(by_path, by_artist)


def placed(label: Label, table: GenreTable | None) -> Label:
    """The label with a genre and a group where it has none: the table's genre; files of one song are one group."""
    genre = label.genre or label.style or (table.genre(label.path) if table else "")
    return replace(label, genre=genre, group=label.group or _song(label.path))


def _song(path: str) -> str:
    """Artist and title of Artist/Song.2.mid, in small letters; "" of a file in no folder."""
    artist = _artist(path.lower())
    title = _COPY.sub("", PurePosixPath(path.lower()).stem)
    return f"{artist}/{title}" if artist else ""


def _artist(path: str) -> str:
    return PurePosixPath(path).parent.name
