"""Tokens: the seed's vocabulary, miditok's REMI with programs, tempos and metres, numbered bars, and genres.

REMI: Huang and Yang, "Pop Music Transformer", 2020. Bars are numbered as in the seed (Bar_0, Bar_1, ...), so that there
are only so many of them; what lies after the last is cut. Live code and bundles need only the list of token names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.data.midi import UnusableError

MAX_BARS = 1024
"""Numbered bars of the seed."""
METRES = {2: [2, 3, 4], 4: [1, 2, 3, 4, 5, 6, 7], 8: [3, 5, 6, 7, 9, 12]}
"""Metres that have a token, numerators by denominator; miditok's own have no 7/8."""
SPECIAL = ("PAD", "BOS", "EOS")
NO_GENRE = "unknown"

REMI_FILE, NAMES_FILE, SPECIAL_FILE, OFFSET_FILE = "tokenizer.json", "vocab.json", "special_tokens.json", "offset.json"
"""miditok's own file; the name of each token; special tokens and genres by name; where bars and genres begin."""

_BAR = "Bar_None"
_GENRE = "Genre_"

Tokens = NDArray[np.uint16]


@dataclass(frozen=True)
class Tokeniser:
    """MIDI files to tokens and back.

    max_bars: numbered bars
    genres:   that have a token, in the order of their tokens
    """

    max_bars: int = MAX_BARS
    genres: tuple[str, ...] = ()

    @cached_property
    def _remi(self) -> Any:
        from miditok import REMI, TokenizerConfig

        return REMI(
            TokenizerConfig(
                use_programs=True, use_tempos=True, use_time_signatures=True, use_pitchdrum_tokens=False,
                special_tokens=list(SPECIAL), time_signature_range=METRES,
            )
        )  # fmt: skip

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each token, as many as the vocabulary has: miditok's, the numbered bars, the genres."""
        bars = (f"Bar_{i}" for i in range(self.max_bars))
        return (*self._remi.vocab, *bars, *(f"{_GENRE}{genre}" for genre in self.genres))

    @property
    def first_bar(self) -> int:
        """The token of bar 0; those of bars 1, 2, ... follow it."""
        return len(self._remi.vocab)

    @property
    def first_genre(self) -> int:
        """The token of genre 0."""
        return self.first_bar + self.max_bars

    def encode(self, data: bytes) -> tuple[Tokens, int]:
        """Tokens of a MIDI file, without BOS, genre and EOS; and how many bars it has, which may be more than max_bars.

        Raises UnusableError when miditok cannot read it.
        """
        from symusic import Score

        try:
            out = self._remi.encode(Score.from_midi(data))
        except Exception as problem:  # of a library, at bytes from outside; the file is left out, the run goes on
            raise UnusableError(f"no tokens ({str(problem) or type(problem).__name__:.80})") from problem
        ids = np.array((out[0] if isinstance(out, list) else out).ids if out else [], np.int64)
        is_bar = ids == self._remi.vocab[_BAR]
        number = np.cumsum(is_bar) - 1
        kept = number < self.max_bars
        return np.where(is_bar, self.first_bar + number, ids)[kept].astype(np.uint16), int(is_bar.sum())

    def sequence(self, body: Tokens, genre: str) -> Tokens:
        """BOS, the genre, the tokens of a file, EOS.

        body: what encode gave, of a tokeniser of at least as many bars; those after the last of ours are cut
        Raises SidemanError when there is no such genre.
        """
        vocab = self._remi.vocab
        if genre not in self.genres:
            raise SidemanError(f"there is no genre {genre!r} in this vocabulary; there are {', '.join(self.genres)}")
        head = [vocab["BOS_None"], self.first_genre + self.genres.index(genre)]
        beyond = np.flatnonzero(body >= self.first_genre)
        known = body[: beyond[0]] if len(beyond) else body
        return np.concatenate([np.array(head, np.uint16), known, np.array([vocab["EOS_None"]], np.uint16)])

    def decode(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> bytes:
        """The MIDI file of tokens; special tokens and genres say nothing."""
        ids = np.asarray(tokens, np.int64)
        is_bar = (ids >= self.first_bar) & (ids < self.first_genre)
        music = ids < self.first_genre
        plain = np.where(is_bar, self._remi.vocab[_BAR], ids)[music]
        data: bytes = self._remi.decode(plain.tolist()).dumps_midi()
        return data

    def save(self, folder: Path) -> None:
        """Write the tokeniser's files: miditok's, and what says all to a reader without miditok."""
        self._remi.save(folder / REMI_FILE)
        offsets = {"bars": self.first_bar, "genres": self.first_genre, "vocabulary": len(self.names)}
        special = {name.removesuffix("_None"): self._remi.vocab[f"{name}_None"] for name in SPECIAL}
        genres = {genre: self.first_genre + i for i, genre in enumerate(self.genres)}
        for name, value in (
            (NAMES_FILE, self.names),
            (OFFSET_FILE, offsets),
            (SPECIAL_FILE, {**special, "genres": genres}),
        ):
            (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What save wrote. Raises SidemanError when it is missing or of another version of the vocabulary."""
        try:
            names = json.loads((folder / NAMES_FILE).read_text("utf-8"))
            genres = tuple(name.removeprefix(_GENRE) for name in names if name.startswith(_GENRE))
            own = cls(sum(name.startswith("Bar_") for name in names) - 1, genres)
        except (OSError, ValueError, AttributeError, TypeError) as problem:
            raise SidemanError(
                f"{folder} holds no tokens of notes ({problem}); write them with: "
                "sideman prepare notes SOURCE -o FOLDER"
            ) from problem
        if list(own.names) != names:
            raise SidemanError(
                f"{folder / NAMES_FILE} is another vocabulary than this version's (or this miditok's); "
                "prepare the data again"
            )
        return own
