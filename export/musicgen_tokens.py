"""The table of a prompt's tokens (engines.musicgen.tokens), read out of the model's tokenizer and compared with it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from engines.errors import SidemanError
from engines.musicgen.tokens import Table, Tokens

PLAIN = (
    "80s pop track with bassy drums and synth",
    "90s rock song with loud guitars and heavy drums",
    "  A slow, sad Waltz -- in C# minor;   piano & cello (no drums)! ",
    "lo-fi hip hop, 85 bpm",
    "C",
)
"""What has to be read as the model's tokenizer reads it."""

RARE = (
    "caf\u00e9 chanson \u2014 accord\u00e9on, \u00e9t\u00e9",
    "\u97f3\u697d techno 128BPM \U0001f3b5",
    "\ufb01ddle reel",
)
"""What should be: every tokenizer has its own way of writing letters of other alphabets."""


def table_of(tokenizer: Any, name: str) -> Table:
    """The table. tokenizer: of transformers; name: of the model, for people.

    Raises SidemanError for a tokenizer that does not cut text as unigram pieces or whole words.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SidemanError(f"{name}: its tokenizer has no tokenizer.json; save it with save_pretrained of a fast one")
    said = json.loads(backend.to_str())
    model = said["model"]
    end = tokenizer("")["input_ids"]
    if len(end) > 1:
        raise SidemanError(f"{name}: its tokenizer puts more than an end behind a prompt, which is not understood")
    last = int(end[0]) if end else -1
    if model["type"] == "Unigram":
        pieces, scores = zip(*model["vocab"], strict=True)
        table = Table("unigram", tuple(pieces), int(model["unk_id"]), last, tuple(map(float, scores)))
    elif model["type"] == "WordLevel":
        words = model["vocab"]
        count = max(words.values()) + 1
        listed = ["\0"] * count  # a number without a word matches no text
        for word, number in words.items():
            listed[number] = word
        table = Table("words", tuple(listed), words[model["unk_token"]], last)
    else:
        raise SidemanError(
            f"{name}: its tokenizer is of the kind {model['type']}; Unigram and WordLevel are understood"
        )
    ways = itertools.product((True, False), (False, True), (False, True))
    tables = [msgspec.structs.replace(table, compose=way[0], lower=way[1], letters=way[2]) for way in ways]
    good = [each for each in tables if not _misread(each, tokenizer, PLAIN)]
    if not good:
        text = _misread(table, tokenizer, PLAIN)[0].strip()
        raise SidemanError(f"{name}: its tokenizer reads {text!r} in a way that is not understood")
    return min(good, key=lambda each: len(_misread(each, tokenizer, RARE)))


def _misread(table: Table, tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """Those that the table reads otherwise than the tokenizer."""
    tokens = Tokens(table)
    return [text for text in texts if tokens(text) != list(tokenizer(text)["input_ids"])]
