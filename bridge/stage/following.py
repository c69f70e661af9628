"""Following a source, at the stage: it is asked where it is, our tempo is bent, control is told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bridge.messages.message import Message, Trouble
from bridge.messages.stage import Play, SourcePlays, SourceState, SyncSetup, Tempo
from bridge.stage.scheduler import Scheduler
from bridge.timing.follow import Follower
from bridge.timing.sync.source import Reference, Source
from engines.errors import SidemanError

ASK_NS = 10_000_000
"""How often a source is asked where it is."""

TELL_NS = 250_000_000
"""How often control is told."""

SAMPLES_MAX = 256


class Following:
    """A source, if there is one, and the follower that bends the scheduler's timeline to it.

    make: a source for a set-up (not open), None for internal
    """

    def __init__(self, scheduler: Scheduler, make: Callable[[SyncSetup], Source | None]) -> None:
        self._scheduler = scheduler
        self._make = make
        self._source: Source | None = None
        self._setup = SyncSetup()
        self._follower = Follower(scheduler.timeline)
        self._errors_us: list[float] = []
        self._next_tell_ns = 0
        self._held = False

    def follow(self, setup: SyncSetup, now_ns: int) -> list[Message]:
        """Follow something else from now on. What plays goes on at its tempo until that has something to say."""
        self.close()
        self._setup = setup
        try:
            source = self._make(setup)
            line = source.open() if source else ""
        except SidemanError as error:
            return [Trouble(f"sync: {error}")]
        if source is None:
            return [SourceState("internal", True, False, self._tempo_mbpm, 0.0)]
        self._source = source
        self._follower.begin(setup.quantum_ticks, source.tolerance_ns)
        self._next_tell_ns = now_ns
        return [Trouble(line)]

    def poll(self, now_ns: int) -> list[Message]:
        """Ask the source; what comes of it, pieces among that."""
        if self._source is None:
            return []
        said: list[Message] = []
        for event in self._source.poll(now_ns):
            if isinstance(event, Reference):
                said += self._reference(event, now_ns)
            else:
                if isinstance(event, SourcePlays) and self._source.kind != "link":
                    self._follower.release()  # its position is another one now, and so will be ours
                said.append(event)
        if now_ns >= self._next_tell_ns:
            self._next_tell_ns = now_ns + TELL_NS
            said.append(self._state())
        return said

    def next_ns(self, now_ns: int) -> int | None:
        """When the source wants to be asked again."""
        return now_ns + ASK_NS if self._source else None

    def apply(self, message: Message, now_ns: int) -> bool:
        """Have a tempo, a start or a stop go to the source's others; True if that was all there was to do."""
        source = self._source
        if source is None:
            return False
        if isinstance(message, Tempo):
            return source.set_tempo(message.tempo_mbpm, now_ns)
        return False

    def placed(self, play: Play) -> None:
        """An epoch has been placed; one that the source began tells what of its position is what of ours."""
        epoch = self._scheduler.epoch
        if self._source and play.at_ns is not None and epoch:
            self._scheduler.source_offset = self._follower.fix(epoch.position_tick - epoch.tick)

    def close(self) -> None:
        """Follow nothing."""
        source, self._source = self._source, None
        self._follower.release()
        if source:
            source.close()

    @property
    def _tempo_mbpm(self) -> int:
        return self._scheduler.timeline.pieces[-1].tempo_mbpm

    def _reference(self, reference: Reference, now_ns: int) -> list[Message]:
        self._scheduler.freeze(now_ns)
        error_ns = self._follower.error_ns(reference)
        if error_ns is not None and len(self._errors_us) < SAMPLES_MAX:
            self._errors_us.append(error_ns / 1000)
        epoch = self._scheduler.epoch if self._scheduler.playing else None
        song_offset = epoch.position_tick - epoch.tick if epoch else None
        pieces = self._follower.reference(reference, now_ns, song_offset)
        self._scheduler.source_offset = self._follower.offset or 0
        return list(pieces)

    def _state(self) -> Message:
        if self._source is None:
            return SourceState("internal", True, False, self._tempo_mbpm, 0.0)
        status = self._source.state()
        error_us = median(self._errors_us) if self._errors_us else 0.0
        self._errors_us.clear()
        return SourceState(
            self._source.kind, status.locked, status.holdover, status.tempo_mbpm, error_us, status.peers
        )  # fmt: skip
