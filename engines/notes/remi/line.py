"""Line: one genre's context of the flat GPT, the tokens heard so far in the graph's buffers.

A bar costs the tokens that are new. When the buffers are full the oldest bars go: what was computed of the rest stays,
and the beginning and the genre are turned after them, so that they are never further away than training had them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Tensor
from engines.notes.history import History, Measure
from engines.notes.remi.vocabulary import Vocabulary
from engines.runtime import Graph
from engines.runtime.context import Context

BASE = 10_000.0
"""Of the rotary positions (offline/notes/gpt/network.py)."""
PREFIX = 2
"""Beginning and genre."""
ROOM = 192
"""Tokens that there is room for when a bar is opened."""
DROPPED = 128
"""Tokens that go, at least, when the buffers are full."""


class Line:
    """The tokens of one genre's context.

    logits:   float32 [V] of the token that follows what is heard
    position: the one that the open bar's own tokens have said, or -1
    """

    def __init__(self, graph: Graph, inputs: Iterable[Tensor], vocabulary: Vocabulary, genre: int) -> None:
        """inputs: the graph's; genre: index in the vocabulary's, or -1 for none said."""
        self._context = Context(graph, inputs)
        self._vocabulary = vocabulary
        size = self._context.size
        self._turn = BASE ** (-np.arange(0, size, 2) / size)
        self._prefix = vocabulary.prefix(genre)
        self._music: list[int] = []  # tokens after the prefix that are in the buffers
        self.bars: list[tuple[int, int]] = []  # number of each bar in the song, and where it begins in _music
        self._next = 0  # place of the next token, for its turning
        self.position = -1
        self.logits: NDArray[np.float32] = np.zeros(0, np.float32)

    def open(self, history: History, bar: Measure, number: int) -> None:
        """Hear what is new in the history, up to the bar's own tokens; `logits` are of what follows."""
        first, measures = number - len(history), (*history, bar)
        told: list[list[int]] = []
        for i, measure in enumerate(measures):
            header = self._vocabulary.header(measure, first + i, measures[i - 1] if i else None)
            told.append(header if i == len(history) else header + self._vocabulary.music(measure, header))
        self.position = self._vocabulary.position_after(told[-1])
        room = self._context.window - PREFIX - ROOM
        begin = self._rewind(told, first)
        if begin is None or sum(map(len, told[begin:])) - len(self._music) > room:
            begin = len(told) - 1
            while begin and sum(map(len, told[begin - 1 :])) <= room:
                begin -= 1
            self.begin()
        starts = np.cumsum([0, *map(len, told[begin:-1])])
        self.bars = [(first + begin + i, int(start)) for i, start in enumerate(starts)]
        self.hear([token for tokens in told[begin:] for token in tokens][len(self._music) :], ROOM)

    def begin(self, tokens: Sequence[int] = ()) -> None:
        """Forget all, and hear the beginning and the genre, then tokens of no bar."""
        self._context.length = self._next = 0
        self._music, self.bars = [], []
        self._run(self._prefix)
        if tokens:
            self.hear(tokens)

    def hear(self, tokens: Sequence[int], room: int = 0) -> None:
        """Hear tokens; `logits` are of what follows them. room: for so many more there shall be afterwards."""
        missing = self._context.length + len(tokens) + room - self._context.window
        if missing > 0:
            self._slide(max(missing, DROPPED))
        self._run(tokens)
        self._music += tokens

    def _rewind(self, told: list[list[int]], first: int) -> int | None:
        """Take back what is not as it is told now, the tokens of bars from number `first` on.

        Where in `told` the tokens that are left begin; None where too few are.
        """
        inside = [(number, begin) for number, begin in self.bars if number >= first]
        if not inside or inside[0][0] - first >= len(told) or inside[0][1] < 0:
            return None
        if inside[0][1] > 0:  # what is further back than the history reaches
            self._forget(inside[0][1])
        start = inside[0][0] - first
        wanted = [token for tokens in told[start:] for token in tokens]
        same = min(_agreeing(self._music, wanted), len(wanted) - 1)  # something must be heard, for its logits
        if start > 0 and same < min(self._context.window // 2, len(wanted) - len(told[-1])):
            return None
        gone = len(self._music) - same
        self._context.length -= gone
        self._next -= gone
        del self._music[same:]
        return start

    def _slide(self, count: int) -> None:
        """Forget bars from the oldest on, until so many tokens are gone; of a bar longer than that, its beginning."""
        ends = [begin for _, begin in self.bars if count <= begin <= len(self._music)]
        self._forget(ends[0] if ends else min(count, len(self._music)))

    def _forget(self, count: int) -> None:
        self._context.drop(PREFIX, count)
        self._follow(count)
        del self._music[:count]
        later = [(number, begin - count) for number, begin in self.bars]
        self.bars = [each for i, each in enumerate(later) if each[1] >= 0 or later[i + 1 :] == []]

    def _follow(self, count: int) -> None:
        """Turn the prefix's keys by `count` positions: to just before what is left."""
        cos, sin = np.cos(count * self._turn), np.sin(count * self._turn)
        kept = list(self._context.read(0, PREFIX))
        for number, name in enumerate(self._context.names):
            if name.startswith("key"):
                one, other = np.split(kept[number].astype(np.float64), 2, axis=-1)
                turned = np.concatenate([one * cos - other * sin, other * cos + one * sin], -1)
                kept[number] = turned.astype(np.float32)
        self._context.write(0, kept)

    def _run(self, tokens: Sequence[int]) -> None:
        angle = (self._next + np.arange(len(tokens)))[:, None] * self._turn
        (logits,) = self._context.hear(
            len(tokens),
            tokens=np.array([tokens], np.int64),
            cos=np.cos(angle).astype(np.float32),
            sin=np.sin(angle).astype(np.float32),
        )
        self._next += len(tokens)
        self.logits = logits[0]


def _agreeing(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens from the first on are the same."""
    count = min(len(one), len(other))
    different = np.flatnonzero(np.array(one[:count]) != np.array(other[:count]))
    return int(different[0]) if len(different) else count
