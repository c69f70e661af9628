"""The suffix automaton of several texts (Blumer et al. 1985): what of them occurs in others, in one pass over those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


class Automaton:
    """Texts of whole numbers from 0 up, kept such that a reader of other texts knows its longest match at each symbol.

    A state stands for the strings that end at the same places; `link` leads to the longest suffix of another state.
    """

    def __init__(self, texts: Sequence[Iterable[int]]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._prefixes: list[list[int]] = []
        last = 0
        for number, text in enumerate(texts):
            states = []
            for symbol in text:
                last = self._add(last, symbol)
                states.append(last)
            self._prefixes.append(states)
            last = self._add(last, -1 - number)  # no match runs from one text into the next
        self._best = [0] * len(self._link)
        self._reader = [-1] * len(self._link)

    def _add(self, last: int, symbol: int) -> int:
        """Append a symbol after the state of all that came before; returns the state of it all."""
        following, link, length = self._next, self._link, self._length
        new = self._state({}, length[last] + 1, 0)
        at = last
        while at >= 0 and symbol not in following[at]:
            following[at][symbol] = new
            at = link[at]
        if at >= 0:
            there = following[at][symbol]
            if length[at] + 1 == length[there]:
                link[new] = there
            else:
                twin = self._state(dict(following[there]), length[at] + 1, link[there])
                while at >= 0 and following[at].get(symbol) == there:
                    following[at][symbol] = twin
                    at = link[at]
                link[there] = link[new] = twin
        return new

    def _state(self, following: dict[int, int], length: int, link: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(link)
        return len(self._link) - 1

    def read(self, text: Iterable[int], reader: int) -> None:
        """Remember how long strings of this text are that occur in the automaton's.

        reader: a number for this text
        """
        following, link, length, best = self._next, self._link, self._length, self._best
        at = matched = 0
        for symbol in text:
            while at and symbol not in following[at]:
                at = link[at]
                matched = length[at]
            step = following[at].get(symbol)
            if step is None:
                matched = 0
                continue
            at = step
            matched += 1
            if matched > best[at]:
                best[at] = matched
                self._reader[at] = reader

    def matches(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Of each text [N], at each symbol: the length of the longest string that ends there and was read; its reader.

        A reader of -1 read none.
        """
        best, reader = self._best.copy(), self._reader.copy()
        for at in sorted(range(1, len(best)), key=self._length.__getitem__, reverse=True):
            above = self._link[at]
            if best[at] and above > 0 and best[above] < self._length[above]:
                best[above], reader[above] = self._length[above], reader[at]
        found = []
        for states in self._prefixes:
            lengths, readers = np.zeros(len(states), np.int64), np.full(len(states), -1, np.int64)
            for i, state in enumerate(states):
                at = state
                while at > 0 and not best[at]:
                    at = self._link[at]
                lengths[i], readers[i] = best[at], reader[at]
            found.append((lengths, readers))
        return found
