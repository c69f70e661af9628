"""Following a source, at the stage: it is asked where it is, our tempo is bent, control is told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bridge.messages.message import Message, Trouble
from bridge.messages.stage import Play, Stop
from bridge.messages.sync import SourcePlays, SourceState, SyncKind, SyncSetup
from bridge.stage.scheduler import Scheduler
from bridge.timing.follow import Follower
from bridge.timing.sync.source import Reference, Source
from bridge.timing.timeline import TEMPO_MAX_MBPM, TEMPO_MIN_MBPM
from engines.errors import SidemanError

ASK_NS = 5_000_000
"""How often a source is asked where it is: of a turn of its tempo, so much is not followed at once."""

TELL_NS = 250_000_000
"""How often control is told."""

SAMPLES_MAX = 256

NAMES: dict[SyncKind, str] = {"internal": "Sideman", "link": "Link", "midi": "the MIDI clock", "jack": "JACK"}


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
        self._playable = True

    def follow(self, setup: SyncSetup, now_ns: int) -> list[Message]:
        """Follow something else from now on. What plays goes on at its tempo until that has something to say."""
        self.close()
        self._setup = setup
        try:
            source = self._make(setup)
            line = source.open() if source else ""
        except SidemanError as error:
            return [Trouble(f"sync: {error}; playing at {self._tempo_mbpm / 1000:g} bpm"), self._state()]
        if source is None:
            return [self._state()]
        self._source = source
        self._follower.begin(setup.quantum_ticks)
        self._next_tell_ns = now_ns
        return [Trouble(line)]

    def poll(self, now_ns: int) -> list[Message]:
        """Ask the source; what comes of it, pieces among that."""
        if self._source is None:
            return []
        said: list[Message] = []
        events = self._source.poll(now_ns)
        self._follower.tolerance_ns = self._source.tolerance_ns
        for event in events:
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

    def refuses(self, tempo_mbpm: int, now_ns: int) -> Trouble | None:
        """Have a tempo be the source's too, before it is ours; or why it cannot be."""
        if self._source is None or not TEMPO_MIN_MBPM <= tempo_mbpm <= TEMPO_MAX_MBPM:
            return None
        if self._source.set_tempo(tempo_mbpm, now_ns):
            return None
        return Trouble(f"the tempo is {NAMES[self._setup.kind]}'s: set it there, or set sync to internal")

    def alone(self) -> bool:
        """Whether there is nobody else in the session, whose bars would have to be met."""
        return self._source is not None and self._source.kind == "link" and not self._source.state().peers

    def placed(self, play: Play) -> None:
        """An epoch has been placed: where the source began it, that tells what of its position is what of ours.

        Else the source's others are started with us, if they share that.
        """
        epoch = self._scheduler.epoch
        if self._source is None or epoch is None:
            return
        if play.at_ns is not None and not play.quantum_ticks:
            self._scheduler.source_offset = self._follower.fix(epoch.position_tick - epoch.tick)
        else:
            self._source.play(epoch.position_tick, self._scheduler.timeline.ns_at(epoch.tick))
            if self.alone():
                self._follower.release()  # the source's bars are where ours are

    def stopped(self, stop: Stop, now_ns: int) -> None:
        """Playing has ended: the source's others stop too, if they share that."""
        if self._source and stop.shared:
            self._source.stop(now_ns)

    def close(self) -> None:
        """Follow nothing."""
        source, self._source = self._source, None
        self._follower.release()
        self._scheduler.source_offset = 0
        self._errors_us.clear()
        self._playable = True
        if source:
            source.close()

    @property
    def _tempo_mbpm(self) -> int:
        return self._scheduler.timeline.pieces[-1].tempo_mbpm

    def _reference(self, reference: Reference, now_ns: int) -> list[Message]:
        playable = TEMPO_MIN_MBPM <= reference.tempo_mbpm <= TEMPO_MAX_MBPM
        if playable != self._playable:
            self._playable = playable
            if not playable:
                theirs, ours = reference.tempo_mbpm / 1000, self._tempo_mbpm / 1000
                text = f"{NAMES[self._setup.kind]} is at {theirs:.4g} bpm, which cannot be followed; holding {ours:g}"
                return [Trouble(text)]
        if not playable:
            return []
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
