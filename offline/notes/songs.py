"""Songs of a data set, as evaluation takes them, and the parts of it that are told apart."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offline.notes.corpus import load_split
from offline.notes.index import MANIFEST_FILE, read_manifest
from offline.notes.models import Song

PARTS = {
    "Weimar Jazz Database": "jazz solos",
    "Nottingham Music Database": "Nottingham",
    "OpenScore": "Lieder and quartets",
    "MMA": "MMA",
    "OpenEWLD": "EWLD",
    "POP909": "POP909",
}
"""How the name of a source begins to the part it is judged in; the macro average is over these."""
REST = "other"
"""The part of every other source, outside the macro average."""
MACRO = "macro"
"""The mean of the parts but REST."""
ALL = "all"
"""All songs together, long ones weighing more."""


def read_songs(folder: Path, split: str, tokens: bool = False, nc: bool = True) -> list[Song]:
    """The songs of a split of a data set, in its order.

    tokens: with the seed's tokens of each; a song without any has None
    nc:     those under a non-commercial licence too
    Raises SidemanError for a folder that `sideman prepare notes` did not write.
    """
    corpus = load_split(folder, split)
    flat = _tokens(folder, split) if tokens else {}
    songs = []
    for i in range(len(corpus)):
        if corpus.piece_nc[i] and not nc:
            continue
        piece, path = corpus.piece(i), str(corpus.piece_path[i])
        songs.append(
            Song(
                path, str(corpus.piece_genre[i]), str(corpus.piece_source[i]), str(corpus.piece_group[i]) or path,
                piece.events, piece.bars, bool(corpus.piece_velocity[i]), flat.get(path),
            )
        )  # fmt: skip
    return songs


def parts_of(songs: Iterable[Song]) -> dict[str, list[Song]]:
    """Songs by part, in the order of PARTS; REST comes last. Where no source is of PARTS each is a part of its own."""
    by_source: dict[str, list[Song]] = {}
    for song in songs:
        by_source.setdefault(song.source or REST, []).append(song)
    named = {source: next((PARTS[start] for start in PARTS if source.startswith(start)), REST) for source in by_source}
    if set(named.values()) == {REST}:
        return dict(sorted(by_source.items(), key=lambda pair: (pair[0] == REST, pair[0])))
    parts: dict[str, list[Song]] = {part: [] for part in (*PARTS.values(), REST)}
    for source, members in by_source.items():
        parts[named[source]] += members
    return {part: members for part, members in parts.items() if members}


def _tokens(folder: Path, split: str) -> dict[str, NDArray[np.uint16]]:
    """The tokens of a split by path; none where the data set was prepared without. Files that are gone are said."""
    if not (folder / MANIFEST_FILE).exists():
        return {}
    found, gone = {}, []
    for row in read_manifest(folder):
        if row.split != split:
            continue
        try:
            found[row.path] = np.load(folder / row.file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            gone.append(row.file)
    if gone:
        print(
            f"{folder}: {len(gone)} files of its manifest are missing or damaged, such as {gone[0]}; "
            "models of tokens are judged without them, or prepare the data again",
            file=sys.stderr,
        )
    return found
