"""Ableton Link: a session of programs on a network that agree on tempo and beat, and if they wish on start and stop.

Needs the extra `link` (LinkPython-extern). No callback of it is used: they would come in a thread of Link's and could
hold the interpreter while the stage ought to play. A poll costs a microsecond.
"""

from __future__ import annotations

from typing import Any

from bridge.messages.message import Trouble
from bridge.messages.sync import SourcePlays, SourceStops, SyncKind, SyncSetup
from bridge.timing.clock import ClockMap, read_together
from bridge.timing.sync.source import Reference, SourceEvent, SourceStatus
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT

NS_PER_UNIT = 1000.0
"""Link counts microseconds of a clock that is not perf_counter's (on Linux, CLOCK_MONOTONIC_RAW)."""

CLOCK_SHARE = 0.25
"""Readings of both clocks lie microseconds apart: they can be followed faster than those of JACK's callback."""


class LinkSource:
    """We are one of the session's peers. Joining leaves its tempo as it is; alone, ours is the session's."""

    kind: SyncKind = "link"
    tolerance_ns = 20_000

    def __init__(self, setup: SyncSetup, tempo_mbpm: int) -> None:
        self._setup = setup
        self._tempo_mbpm = tempo_mbpm
        self._quantum_beats = setup.quantum_ticks / TICKS_PER_BEAT
        self._link: Any = None
        self._micros: Any = None
        self._clock: ClockMap | None = None
        self._peers = 0
        self._playing = False

    def open(self) -> str:
        """Look for the others; they are found within a second. Raises SidemanError where the package is missing."""
        try:
            import link
        except ImportError:
            raise SidemanError("Ableton Link is not installed; pip install 'sideman[link]'") from None
        self._link = link.Link(self._tempo_mbpm / 1000)
        self._link.startStopSyncEnabled = self._setup.start_stop
        self._link.enabled = True
        self._micros = self._link.clock().micros
        self._clock = ClockMap(NS_PER_UNIT, *read_together(self._micros), share=CLOCK_SHARE)
        return f"Link: bars of {self._quantum_beats:g} beats{', start and stop too' if self._setup.start_stop else ''}"

    def poll(self, now_ns: int) -> list[SourceEvent]:
        """Where the session is, and whether someone came, left, started or stopped."""
        if self._link is None or self._clock is None:
            return []
        units, at_ns = read_together(self._micros)
        self._clock.observe(units, at_ns)
        session = self._link.captureAppSessionState()
        self._tempo_mbpm = round(session.tempo() * 1000)
        tick = session.beatAtTime(units, self._quantum_beats) * TICKS_PER_BEAT
        events: list[SourceEvent] = [Reference(tick, round(self._clock.ns_at(units)), self._tempo_mbpm)]
        peers = self._link.numPeers()
        if peers != self._peers:
            events.append(Trouble(f"Link: {_counted(peers)}, {self._tempo_mbpm / 1000:g} bpm"))
            self._peers = peers
        if self._setup.start_stop and session.isPlaying() != self._playing:
            self._playing = not self._playing
            when_ns = round(self._clock.ns_at(session.timeForIsPlaying()))
            events.append(SourcePlays(-1, when_ns) if self._playing else SourceStops(when_ns))
        return events

    def set_tempo(self, tempo_mbpm: int, now_ns: int) -> bool:
        """Everyone in the session plays at this tempo from now on."""
        if self._link is None:
            return False
        session = self._link.captureAppSessionState()
        session.setTempo(tempo_mbpm / 1000, self._micros())
        self._link.commitAppSessionState(session)
        return True

    def play(self, position_tick: int, at_ns: int) -> None:
        """Alone, have the session's bars be ours; have the others start at that moment, if starts are shared."""
        if self._link is None or self._clock is None:
            return
        session = self._link.captureAppSessionState()
        units = round(self._clock.units_at(at_ns))
        if not self._peers:
            session.requestBeatAtTime(position_tick / TICKS_PER_BEAT, units, self._quantum_beats)
        self._share(session, True, units)

    def stop(self, at_ns: int) -> None:
        """Have the others stop, if stops are shared."""
        if self._link is not None and self._clock is not None:
            self._share(self._link.captureAppSessionState(), False, round(self._clock.units_at(at_ns)))

    def state(self) -> SourceStatus:
        """A session is never lost: without peers it is our own."""
        return SourceStatus(self._link is not None, False, self._tempo_mbpm, self._peers)

    def close(self) -> None:
        """Leave the session. May be called twice."""
        link, self._link = self._link, None
        if link is not None:
            link.enabled = False

    def _share(self, session: Any, playing: bool, units: int) -> None:
        if self._setup.start_stop and playing != self._playing:
            self._playing = playing
            session.setIsPlaying(playing, units)
        self._link.commitAppSessionState(session)


def _counted(peers: int) -> str:
    return "nobody else is here" if not peers else f"{peers} other{'s' if peers > 1 else ''}"
