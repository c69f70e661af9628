"""A prompt's tokens, without the library that the model was trained with: unigram pieces (T5's), or whole words.

Unigram (Kudo, "Subword Regularization", 2018): of all ways to cut a word into known pieces the likeliest. The export
compares the tokens of many prompts with the model's own tokenizer before it writes the table.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Literal

import msgspec

from engines.errors import BundleError

BYTES_MAX = 32 << 20
SPACE = "\u2581"
"""What begins a word."""

UNKNOWN_COST = 10.0
"""A character that no piece holds counts as so much less likely than the least likely piece."""


class Table(msgspec.Struct, frozen=True):
    """tokens.json of a bundle.

    kind: unigram or words; pieces: by number; scores: of unigram, the logarithm of each piece's probability
    unknown, end: numbers of the pieces for what is not known, and for the end (-1: none)
    compose: forms of a letter are one (NFKC); lower: capitals are small letters to it
    letters: words and marks are apart (else only spaces part words)
    """

    kind: Literal["unigram", "words"]
    pieces: tuple[str, ...]
    unknown: int
    end: int
    scores: tuple[float, ...] = ()
    compose: bool = True
    lower: bool = False
    letters: bool = False


class Tokens:
    """Text to numbers."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._number = {piece: number for number, piece in enumerate(table.pieces)}
        self._longest = max(map(len, table.pieces), default=0)
        self._unlikely = min(table.scores, default=0.0) - UNKNOWN_COST

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Read a bundle's table. Raises BundleError."""
        if path.stat().st_size > BYTES_MAX:
            raise BundleError(f"{path} is over {BYTES_MAX} bytes: it is no table of tokens")
        try:
            table = msgspec.json.decode(path.read_bytes(), type=Table)
        except msgspec.DecodeError as error:
            raise BundleError(f"{path}: {error}; export the bundle again") from error
        count = len(table.pieces)
        if not count or not 0 <= table.unknown < count or not -1 <= table.end < count:
            raise BundleError(f"{path} names pieces that it does not have; export the bundle again")
        if table.kind == "unigram" and len(table.scores) != count:
            raise BundleError(f"{path} has not a score for each piece; export the bundle again")
        return cls(table)

    def __call__(self, text: str) -> list[int]:
        """The numbers of a text, the end's with them."""
        table = self.table
        if table.compose:
            text = unicodedata.normalize("NFKC", text)
        if table.lower:
            text = text.lower()
        numbers: list[int] = []
        if table.kind == "words":
            words = re.findall(r"\w+|[^\w\s]+", text) if table.letters else text.split()
            numbers = [self._number.get(word, table.unknown) for word in words]
        else:
            for word in text.split():
                numbers += self._cut(SPACE + word)
        return [*numbers, table.end] if table.end >= 0 else numbers

    def _cut(self, word: str) -> list[int]:
        """The likeliest pieces of a word (Viterbi); characters of no piece, however many together, are one unknown."""
        best = [0.0] + [float("-inf")] * len(word)
        came = [(0, -1)] * (len(word) + 1)
        for begin in range(len(word)):
            single = False
            for end in range(begin + 1, min(len(word), begin + self._longest) + 1):
                number = self._number.get(word[begin:end])
                if number is None or number == self.table.unknown:
                    continue
                single = single or end == begin + 1
                score = best[begin] + self.table.scores[number]
                if score > best[end]:
                    best[end], came[end] = score, (begin, number)
            if not single and best[begin] + self._unlikely > best[begin + 1]:
                best[begin + 1], came[begin + 1] = best[begin] + self._unlikely, (begin, self.table.unknown)
        numbers: list[int] = []
        end = len(word)
        while end:
            begin, number = came[end]
            if not (number == self.table.unknown and numbers and numbers[-1] == number):
                numbers.append(number)
            end = begin
        return numbers[::-1]
