"""The tokens of a data set of notes (`sideman prepare notes`), as the flat GPT reads them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.notes.gpt.dataset import Tokens
from offline.notes.index import TokenRow, read_index, read_manifest
from offline.notes.tokens import NAMES_FILE

HEAD = 2
"""BOS and the genre stand before a file's music."""


def read_tokens(folder: Path, split: str, nc: bool) -> Tokens:
    """The pieces of a split. nc: those of non-commercial licences too.

    A file that the manifest names and that is missing or damaged is left out, and counted on stderr.
    Raises SidemanError for a folder without tokens, or a split without pieces.
    """
    words = read_words(folder)
    held = {row.path for row in read_index(folder) if nc or not row.nc}
    bodies, genres, unusable = [], [], 0
    for row in read_manifest(folder):
        if row.split == split and row.path in held:
            tokens = _tokens(folder, row, len(words))
            if tokens is None:
                unusable += 1
            else:
                bodies.append(tokens[HEAD:])
                genres.append(tokens[1])
    if unusable:
        print(f"{folder}: {unusable} files of {split} are missing or damaged, and left out", file=sys.stderr)
    if not bodies:
        raise SidemanError(
            f"{folder} has no tokens of {split}; write them with: sideman prepare notes SOURCE -o FOLDER"
        )
    starts = np.cumsum([0, *(len(body) for body in bodies)], dtype=np.int64)
    return Tokens(words, np.concatenate(bodies), starts, np.array(genres, np.uint16))


def read_words(folder: Path) -> tuple[str, ...]:
    """Each token's name. Raises SidemanError for a folder without tokens."""
    try:
        words = json.loads((folder / NAMES_FILE).read_text("utf-8"))
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or len(words) > 1 << 16:
            raise ValueError("no list of names")
    except (OSError, ValueError, RecursionError) as problem:
        raise SidemanError(
            f"{folder} holds no tokens of notes ({problem}); write them with: sideman prepare notes SOURCE -o FOLDER"
        ) from problem
    return tuple(words)


def sources_of(folder: Path, nc: bool) -> list[dict[str, Any]]:
    """Sources, licences and pieces of what is learned from, for a manifest."""
    counts = Counter(
        (row.source, row.licence) for row in read_index(folder) if row.split == "train" and (nc or not row.nc)
    )
    return [{"name": name, "licence": licence, "pieces": n} for (name, licence), n in sorted(counts.items())]


def _tokens(folder: Path, row: TokenRow, vocabulary: int) -> NDArray[np.uint16] | None:
    """A file's tokens, None if it is not there or is not what the manifest says."""
    try:
        tokens: NDArray[np.uint16] = np.load(folder / row.file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = tokens.dtype == np.uint16 and tokens.ndim == 1 and len(tokens) > HEAD + 1
    return tokens if sound and len(tokens) == row.tokens and int(tokens.max()) < vocabulary else None
