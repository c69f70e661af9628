"""A prompt's tokens, without the library that the model was trained with."""

from pathlib import Path

import msgspec
import pytest

from engines.errors import BundleError
from engines.musicgen.tokens import Table, Tokens

PIECES = (("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -3.0), ("\u2581rock", -4.0), ("\u2581ro", -4.5), ("ck", -4.5),
          ("r", -6.0), ("o", -6.0), ("c", -6.0), ("k", -6.0), ("s", -5.0))  # fmt: skip
NAMES, SCORES = zip(*PIECES, strict=True)
UNIGRAM = Table("unigram", NAMES, 1, 0, SCORES)


def said(text: str) -> list[str]:
    return [NAMES[number] for number in Tokens(UNIGRAM)(text)]


def test_the_likeliest_pieces_are_taken() -> None:
    assert said("rock") == ["\u2581rock", "</s>"]
    assert said("rocks") == ["\u2581rock", "s", "</s>"]
    assert said("  rock\n rock ") == ["\u2581rock", "\u2581rock", "</s>"]


def test_characters_of_no_piece_are_one_unknown() -> None:
    assert said("xyzs") == ["\u2581", "<unk>", "s", "</s>"]
    assert said("\uff52ock") == ["\u2581rock", "</s>"]  # a full-width r


def test_no_text_is_only_the_end() -> None:
    assert said("") == ["</s>"]


def test_words() -> None:
    table = Table("words", ("<unk>", "loud", "drums", ","), 0, -1, lower=True, letters=True)
    assert Tokens(table)("Loud, drums xx") == [1, 3, 2, 0]


@pytest.mark.parametrize(
    "table",
    [
        Table("unigram", NAMES, 1, 0, SCORES[:-1]),
        Table("unigram", NAMES, 99, 0, SCORES),
        Table("words", ("a",), 0, 5),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(tmp_path: Path, table: Table) -> None:
    (tmp_path / "tokens.json").write_bytes(msgspec.json.encode(table))
    with pytest.raises(BundleError, match="export the bundle again"):
        Tokens.load(tmp_path / "tokens.json")
