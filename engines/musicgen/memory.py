"""A stream of codes as a value, with what the decoder remembers of it; and the desk on which it is gone on from.

Keys and values are only ever added, so a stream holds them as stretches that it shares with the streams it came from.
Whichever of them is gone on from, another take or what was undone, finds the very numbers that it left: what is made
from it is the same, bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.musicgen.delay import Codes
from engines.musicgen.generator import Generator, Take
from engines.musicgen.model import SteeredModel
from engines.musicgen.sampling import Settings
from engines.runtime.context import Context


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """Positions one after the other. arrays: of each buffer, [1 or 2, heads, n, size]: with the text, and without."""

    arrays: tuple[NDArray[np.float32], ...]

    @property
    def rows(self) -> int:
        """2 if it is remembered without the text as well."""
        return len(self.arrays[0])

    @property
    def count(self) -> int:
        """Positions."""
        return len(self.arrays[0][0, 0])


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Columns of codes [books, n] that are gone on from; the last has not been heard.

    before: columns made before the first of these; lead: of all, those that were not made but continued
    memory: of the columns but the last, or nothing: they are heard anew
    """

    columns: Codes
    before: int = 0
    lead: int = 0
    memory: tuple[Remembered, ...] = ()

    @property
    def guided(self) -> bool:
        """Whether it is remembered without the text as well, as guidance asks."""
        return all(each.rows == 2 for each in self.memory)

    @property
    def heard(self) -> bool:
        """Whether it is remembered, or there is nothing to be."""
        return bool(self.memory) or len(self.columns[0]) <= 1

    @property
    def reached(self) -> int:
        """Columns that there are, with those before."""
        return self.before + len(self.columns[0])

    @property
    def number(self) -> int:
        """Of the step to come, as schedules count."""
        return max(0, self.reached - 1 - self.lead)

    def cut(self, columns: int, pad: int, delays: Sequence[int]) -> Stream:
        """The last so many columns, as if its positions began there; nothing is remembered."""
        tail = self.columns[:, -columns:].copy()
        for book, delay in enumerate(delays):
            tail[book, :delay] = pad  # of a frame whose first codes are gone
        first = np.full((len(tail), 1), pad, np.int64)
        return Stream(np.concatenate([first, tail], axis=1), self.reached - tail.shape[1] - 1, self.lead)


class Desk:
    """The buffers in which streams are gone on with, one at a time, as several takes side by side."""

    def __init__(self, model: SteeredModel, window: int) -> None:
        """window: positions that are kept before a stream is cut."""
        self.model, self.window = model, window
        self._context: Context | None = None
        self._shape = (0, False)
        self._lies: tuple[Remembered, ...] = ()

    def opened(self, stream: Stream, takes: Sequence[Take], settings: Settings, steer_both: bool) -> Generator:
        """A generator that goes on from a stream; it is good until the next one is opened."""
        context = self._laid(stream.memory, len(takes), settings.guidance != 1.0)
        generator = Generator(
            self.model, takes, settings, window=self.window, steer_both=steer_both, context=context
        )  # fmt: skip
        return generator.resume(stream.columns, stream.before, stream.lead)

    def left(self, generator: Generator, take: int, stream: Stream, reached: int) -> Stream:
        """The stream that one of the takes has become; of its columns as many as are `reached`.

        stream: that the generator was opened with
        """
        columns = generator.columns[take][:, : reached - generator.before].copy()
        heard = columns.shape[1] - 1
        known = self._lies if generator.context is self._context else ()
        first = sum(each.count for each in known)
        rows = [take, take + len(generator.takes)] if generator.settings.guidance != 1.0 else [take]
        if heard > first:
            known = (*known, Remembered(generator.context.read(first, heard, rows)))
        return replace(stream, columns=columns, before=generator.before, memory=known)

    def _laid(self, memory: tuple[Remembered, ...], takes: int, two: bool) -> Context:
        """The buffers, with what is remembered in every take's rows."""
        if two and any(each.rows < 2 for each in memory):
            memory = ()
        if self._context is None or self._shape != (takes, two):
            self._context = self.model.context(takes * (2 if two else 1), self.window)
            self._shape, self._lies = (takes, two), ()
        same = itertools.takewhile(lambda pair: pair[0] is pair[1], zip(self._lies, memory, strict=False))
        common = len(list(same))
        at = sum(each.count for each in memory[:common])
        for each in memory[common:]:
            self._context.write(at, (array[:1] for array in each.arrays), slice(takes))
            if two:
                self._context.write(at, (array[1:] for array in each.arrays), slice(takes, None))
            at += each.count
        self._lies, self._context.length = memory, at
        return self._context


def heard(desk: Desk, stream: Stream, take: Take, settings: Settings, *, steer_both: bool) -> Stream:
    """A stream of which nothing is remembered, with all its columns but the last heard, in buffers of their own.

    It can be called on a thread beside the desk's.
    """
    own = Desk(desk.model, desk.window)
    generator = own.opened(stream, [take], settings, steer_both)
    return own.left(generator, 0, stream, generator.reached)
