"""Parameter: the one table that OSC, the terminal, set files, `--set` and the docs are derived from."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable
from typing import Literal

import msgspec

from engines.errors import SidemanError

Value = bool | int | float | str
Kind = Literal["float", "int", "bool", "choice", "text"]

RESERVED_NAMES = frozenset(
    {"again", "vary", "undo", "fill", "hold", "mute", "take", "bundle", "note", "bar", "parts", "state", "loop"}
    | {
        "span",
        "fader",
        "trade",
        "your_turn",
        "late",
        "commit",
        "fill_every",
        "trade_listen",
        "trade_answer",
        "gain",
        "pan",
    }
)
"""Verbs, outputs and parameters of every player (docs/ARCHITECTURE.md, OSC); no engine's parameter may be called so."""


NOT_IN_A_LINE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, of halves of characters, and of what ends a line or a paragraph."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """Something a performer can turn while it plays.

    name:    a lower-case word, the last part of its OSC address
    kind:    float, int, bool, choice or text
    low/high: the range, both ends allowed (float and int); of a text, high is how many characters it may have
    choices: the words allowed (choice)
    unit:    "", "beats", "bpm", "ms", ...
    help:    one line for people
    """

    name: str
    kind: Kind
    default: Value
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()
    unit: str = ""
    help: str = ""

    def check(self, value: object) -> Value:
        """The value in this parameter's type, from OSC, TOML or a command line (numbers may be words there).

        Raises SidemanError, naming the parameter and what it takes, for a wrong type, NaN or a value out of range.
        """
        checked = self._converted(value)
        if checked is None:
            near = difflib.get_close_matches(str(value)[:40], self.choices, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SidemanError(f"{self.name} takes {self.takes}, not {shortened(value)}{hint}")
        return checked

    @property
    def takes(self) -> str:
        """What is accepted, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "0 or 1"
        if self.kind == "text":
            return f"a line of text of at most {self.high:g} characters"
        unit = f" {self.unit}" if self.unit else ""
        word = "a whole number" if self.kind == "int" else "a number"
        return f"{word} from {self.low:g} to {self.high:g}{unit}"

    def _converted(self, value: object) -> Value | None:
        if self.kind == "choice":
            return self._choice(value) if isinstance(value, str) else None
        if self.kind == "text":
            return self._line(value) if isinstance(value, str) else None
        if isinstance(value, str):
            word = value.strip().lower()
            if self.kind == "bool" and word in ("true", "false", "on", "off"):
                return word in ("true", "on")
            try:
                value = float(word)
            except ValueError:
                return None
        if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
            return None
        if self.kind == "bool":
            return bool(value) if value in (0, 1) else None
        if not self.low <= value <= self.high:
            return None
        if self.kind == "float":
            return float(value)
        return int(value) if value == int(value) else None

    def _choice(self, word: str) -> str | None:
        """The choice that a word means, whatever its case where that leaves no doubt."""
        if word in self.choices:
            return word
        found = [choice for choice in self.choices if choice.casefold() == word.strip().casefold()]
        return found[0] if len(found) == 1 else None

    def _line(self, text: str) -> str | None:
        """A text without what could steer a terminal or end a line, and without space around it."""
        text = text.strip()
        odd = any(unicodedata.category(letter) in NOT_IN_A_LINE for letter in text)
        return None if odd or len(text) > self.high else text


class Parameters:
    """The parameters of one player by name, with their present values."""

    def __init__(self, table: Iterable[Parameter]) -> None:
        self.table: dict[str, Parameter] = {parameter.name: parameter for parameter in table}
        self._values: dict[str, Value] = {name: parameter.default for name, parameter in self.table.items()}

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def set(self, name: str, value: object) -> Value:
        """Set a value and return it as stored; raises SidemanError and changes nothing if it is not one."""
        if name not in self.table:
            raise SidemanError(f"there is no parameter {name}; there are {', '.join(self.table)}")
        checked = self._values[name] = self.table[name].check(value)
        return checked

    def snapshot(self) -> dict[str, Value]:
        """A copy of all values, as a Request carries them."""
        return dict(self._values)


def shortened(value: object) -> str:
    """A value for people, in a line: of a long text only its beginning."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
