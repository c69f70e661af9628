"""Text: the words of the prompts as a T5 tokenizer's pieces, and prompts varied while they are learned."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engines.errors import SidemanError

Piece = tuple[str, float]
"""What is written, and the logarithm of how often."""

PAD, END, UNKNOWN = 0, 1, 2
SPACE = "\u2581"
MOST_WORDS = 32_000
LONGEST = 128
"""Tokens of a prompt that are read."""

NOTE = re.compile(r"\b([A-G]#?)[0-9]\b")
"""With its octave, as "C#4"."""


def pieces_of(prompts: Iterable[str]) -> tuple[Piece, ...]:
    """A piece for each word of the prompts, and for the comma, those that are written most first.

    Whole words: there are hundreds, and every one is seen in training. Raises SidemanError where there are none.
    """
    counts: Counter[str] = Counter()
    for prompt in prompts:
        for word in prompt.split():
            bare = word.rstrip(",")
            counts[SPACE + bare] += bool(bare)
            counts[","] += len(word) - len(bare)
    listed = [(word, count) for word, count in counts.items() if count and word != SPACE]
    if not any(word != "," for word, _ in listed):
        raise SidemanError("the data has no prompts: a MusicGen learns sound by its description; prepare it again")
    listed.sort(key=lambda each: (-each[1], each[0]))
    total = sum(count for _, count in listed)
    words = [(word, round(math.log(count / total), 4)) for word, count in listed[:MOST_WORDS]]
    least = min(score for _, score in words)
    return (("<pad>", 0.0), ("</s>", 0.0), ("<unk>", least - 10.0), (SPACE, least - 1.0), *words)


def tokenizer_of(pieces: Sequence[Piece]) -> Any:
    """The T5Tokenizer that cuts text into the pieces."""
    from transformers import T5Tokenizer

    return T5Tokenizer(vocab=[(piece, score) for piece, score in pieces], extra_ids=0)


def varied(prompt: str, forget: float, rng: np.random.Generator) -> str:
    """The prompt without some of its parts (what is between commas), each left out with the chance `forget`.

    One part always stays, and they keep their order: what comes first is what the others are about. Every other time
    notes are named without their octave: so they are in the prompts of chords, scales and songs.
    """
    parts = prompt.split(", ")
    kept = [part for part in parts if rng.random() >= forget] or [parts[int(rng.integers(len(parts)))]]
    text = ", ".join(kept)
    return NOTE.sub(r"\1", text) if rng.random() < 0.5 else text


def numbers_of(
    tokenizer: Any, prompts: Sequence[str], unknown: float = 0.0, rng: np.random.Generator | None = None
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Tokens int64 [N, S], the end's with them, and which of them are some; "" has none.

    unknown: chance that a token is one that is not known, so that the model has heard of such
    """
    rows = [tokenizer(prompt)["input_ids"][:LONGEST] if prompt.strip() else [] for prompt in prompts]
    width = max(1, *map(len, rows))
    tokens = np.full((len(rows), width), PAD, np.int64)
    for row, numbers in enumerate(rows):
        tokens[row, : len(numbers)] = numbers
    heard = np.arange(width) < np.array([len(numbers) for numbers in rows])[:, None]
    if unknown and rng is not None:
        tokens[(rng.random(tokens.shape) < unknown) & (tokens > UNKNOWN)] = UNKNOWN
    return tokens, heard
