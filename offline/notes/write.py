"""Write: the files of a data set of notes, made beside its folder and moved in when they are whole."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offline.data.labels import SPLITS
from offline.data.split import fingerprint
from offline.data.table import write_rows
from offline.notes.corpus import FOLDER, Corpus
from offline.notes.gather import Used
from offline.notes.index import (
    INDEX_FILE,
    MANIFEST_FILE,
    SPLITS_FILE,
    Row,
    TokenRow,
    write_splits,
)
from offline.notes.parts import read_part
from offline.notes.report import REPORT_FILE
from offline.notes.tokens import NAMES_FILE, NO_GENRE, OFFSET_FILE, REMI_FILE, SPECIAL_FILE, Tokeniser

TOKENS = "tokens"
_FILES = (
    INDEX_FILE, SPLITS_FILE, MANIFEST_FILE, FOLDER, TOKENS, REMI_FILE, NAMES_FILE, SPECIAL_FILE, OFFSET_FILE,
    REPORT_FILE,
)  # fmt: skip


def write(
    folder: Path, used: Sequence[Used], tokeniser: Tokeniser | None, max_len: int, report: dict[str, Any]
) -> None:
    """Write a data set; what an earlier run left under these names goes. Equal files give equal bytes.

    tokeniser: None leaves the tokens out; max_len: tokens at which a file is cut, 0 for never
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.part", dir=folder.parent) as name:
        partial = Path(name)
        write_rows(partial / INDEX_FILE, Row, [one.row for one in used])
        write_splits(partial / SPLITS_FILE, [one.row for one in used])
        _write_pieces(partial / FOLDER, used)
        if tokeniser is not None:
            tokeniser.save(partial)
            write_rows(partial / MANIFEST_FILE, TokenRow, _write_tokens(partial, used, tokeniser, max_len))
        (partial / REPORT_FILE).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for file in _FILES:
            _remove(folder / file)
            if (partial / file).exists():
                (partial / file).replace(folder / file)


def genres_of(used: Sequence[Used]) -> tuple[str, ...]:
    """The genres in alphabetical order; NO_GENRE is one where files have none."""
    return tuple(sorted({one.row.genre or NO_GENRE for one in used}))


def _write_pieces(folder: Path, used: Sequence[Used]) -> None:
    folder.mkdir()
    for split in SPLITS:
        own = [one for one in used if one.row.split == split]
        if own:
            rows = [one.row for one in own]
            Corpus.of(
                [read_part(one.part.path, one.row.performed)[0] for one in own],
                piece_velocity=[row.velocity for row in rows],
                piece_genre=[row.genre for row in rows],
                piece_source=[row.source for row in rows],
                piece_group=[row.group for row in rows],
                piece_path=[row.path for row in rows],
                piece_licence=[row.licence for row in rows],
                piece_nc=[row.nc for row in rows],
            ).save(folder / f"{split}.npz")


def _write_tokens(folder: Path, used: Sequence[Used], tokeniser: Tokeniser, max_len: int) -> list[TokenRow]:
    (folder / TOKENS).mkdir()
    rows = []
    for one in used:
        body = read_part(one.part.path, one.row.performed)[1]
        genre = one.row.genre or NO_GENRE
        whole = tokeniser.sequence(body, genre)
        tokens = whole[:max_len] if max_len else whole
        name = f"{TOKENS}/{fingerprint(one.row.path.encode())}.npy"
        np.save(folder / name, tokens, allow_pickle=False)
        cut = len(tokens) < len(whole) or one.part.facts.token_bars > tokeniser.max_bars
        rows.append(TokenRow(one.row.path, genre, one.row.split, name, len(tokens), cut))
    return rows


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
