"""What a player of sound keeps from span to span: a value, which nothing changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from engines.audio import Frames
from engines.musicgen.bars import Round
from engines.musicgen.keys import Levels
from engines.musicgen.memory import Stream


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the faders stand, and at which step each was moved there: from then on its schedule counts."""

    schedule: str = ""
    values: tuple[float, ...] = ()
    moved: tuple[int, ...] = ()

    def after(self, schedule: str, values: tuple[float, ...], step: int) -> Clock:
        """With the faders where they stand at a step."""
        if schedule != self.schedule or len(values) != len(self.values):
            return Clock(schedule, values, (step,) * len(values))
        moved = (old if now == was else step for now, was, old in zip(values, self.values, self.moved, strict=True))
        return Clock(schedule, values, tuple(moved))


class Renewal:
    """A stream that is made on a thread of its own while nothing else is asked for. It does not hang on when."""

    def __init__(self, make: Callable[[], Stream]) -> None:
        self._make = make
        self._made: Stream | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stream(self) -> Stream:
        """The stream, waiting for it if need be. Raises what kept it from being made."""
        self._thread.join()
        if self._made is None:
            raise self._error or RuntimeError("a renewed stream was not made")
        return self._made

    def _run(self) -> None:
        try:
            self._made = self._make()
        except Exception as error:  # told where it is waited for
            self._error = error


@dataclass(frozen=True, slots=True, eq=False)
class SoundState:
    """What has been.

    stream:  of codes; renewal: the same from its last seconds on, which is gone on from instead once it is `due`
    place:   the sample of the stream from which it has not been played yet
    tail:    how what was played would go on; seamless: the stream itself is how
    recent:  what was played, up to a bar of it
    clock, levels: of faders and keys; round: bars that come again
    """

    stream: Stream
    renewal: Renewal | None = None
    due: bool = False
    place: int = 0
    tail: Frames = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    seamless: bool = True
    recent: Frames = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    clock: Clock = field(default_factory=Clock)
    levels: Levels = field(default_factory=dict)
    round: Round | None = None

    def onward(self) -> Stream:
        """The stream that is gone on from."""
        if self.renewal is None or not self.due:
            return self.stream
        base = self.renewal.stream()
        since = self.stream.columns[:, base.reached - self.stream.before :]
        return replace(base, columns=np.concatenate([base.columns, since], axis=1))
