"""What a player of sound keeps from span to span: a value, which nothing changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from engines.audio import Frames
from engines.errors import SidemanError
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
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ready(self, wait_s: float) -> bool:
        """Whether it is made by then."""
        self._thread.join(min(max(0.0, wait_s), threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    def stream(self) -> Stream | None:
        """The stream, waiting for it if need be; None if it could not be made as it was steered."""
        self._thread.join()
        return self._made

    def _run(self) -> None:
        with contextlib.suppress(SidemanError):  # then the old one is cut when it has to be, as it is steered by then
            self._made = self._make()


@dataclass(frozen=True, slots=True, eq=False)
class SoundState:
    """What has been.

    stream:  of codes; renewal: the same from its last seconds on, which is gone on from instead once it is `due`
    place:   the sample of the stream from which it has not been played yet
    tail:    how what was played would go on; seamless: the stream itself is how
    recent:  what was played, up to a bar of it; again: the last span was only what sounded before, for want of time
    clock, levels: of faders and keys; round: bars that come again
    """

    stream: Stream
    renewal: Renewal | None = None
    due: bool = False
    place: int = 0
    tail: Frames = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    seamless: bool = True
    recent: Frames = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    again: bool = False
    clock: Clock = field(default_factory=Clock)
    levels: Levels = field(default_factory=dict)
    round: Round | None = None

    def onward(self) -> Stream:
        """The stream that is gone on from."""
        base = self.renewal.stream() if self.renewal is not None and self.due else None
        if base is None:
            return self.stream
        since = self.stream.columns[:, base.reached - self.stream.before :]
        return replace(base, columns=np.concatenate([base.columns, since], axis=1))
