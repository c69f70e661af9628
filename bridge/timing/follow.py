"""The follower: bends the stage's tempo so that its ticks meet a source's, and never makes a tick jump.

A source's position and our ticks differ by an offset, which is fixed when nothing hangs on it and kept from then on. Of
each later reference the error is made up for within half a beat, by a tempo at most 30 % off the source's; then the
tempo is the source's own (docs/ARCHITECTURE.md, Time).
"""

from __future__ import annotations

from bridge.messages.stage import Piece
from bridge.timing.sync.source import Reference
from bridge.timing.timeline import NS_MBPM_PER_TICK, TEMPO_MAX_MBPM, TEMPO_MIN_MBPM, Timeline
from engines.music import TICKS_PER_BEAT

HORIZON_TICKS = TICKS_PER_BEAT // 2
"""An error is made up for within so much, if the bend allows; a larger one than this is a jump of the source."""

BEND_MAX = 0.3
"""The most that the tempo is bent, as a share of the source's."""

QUANTUM_TICKS = 4 * TICKS_PER_BEAT
TOLERANCE_NS = 20_000


class Follower:
    """Turns references into pieces of a timeline, which whoever calls has frozen as far as it must be.

    tolerance_ns: an error that is no larger is left alone
    """

    def __init__(self, timeline: Timeline) -> None:
        self.tolerance_ns = TOLERANCE_NS
        self._timeline = timeline
        self._quantum_ticks = QUANTUM_TICKS
        self._offset: int | None = None

    @property
    def offset(self) -> int | None:
        """How many ticks the source's position is ahead of ours; None before the first reference."""
        return self._offset

    def begin(self, quantum_ticks: int) -> None:
        """Follow a source from its next reference on; positions that agree modulo the quantum are the same to it."""
        self._offset = None
        self._quantum_ticks = quantum_ticks

    def release(self) -> None:
        """Nothing hangs on the offset any more; the next reference fixes it."""
        self._offset = None

    def fix(self, offset: int) -> int:
        """From now on the source's position is this much ahead of our ticks; returns it."""
        self._offset = offset
        return offset

    def error_ns(self, reference: Reference) -> float | None:
        """How far our ticks lie behind the source's at a reference; None as long as there is no offset."""
        if self._offset is None:
            return None
        tick = self._timeline.tick_at(reference.at_ns)
        begins_ns, ends_ns = self._timeline.ns_at(tick), self._timeline.ns_at(tick + 1)
        ours = tick + (reference.at_ns - begins_ns) / (ends_ns - begins_ns)
        return (reference.tick - self._offset - ours) * NS_MBPM_PER_TICK / reference.tempo_mbpm

    def reference(self, reference: Reference, now_ns: int, song_offset: int | None) -> tuple[Piece, ...]:
        """What becomes of the timeline with a reference whose tempo can be played: nothing, or a bend and the tempo.

        song_offset: song position minus stage tick while something plays; None leaves us free to start anywhere.
        """
        timeline = self._timeline
        landing = max(timeline.frozen, timeline.tick_at(now_ns) + 1)
        error = self._behind(reference, landing, song_offset)
        if self._on_time(reference, max(landing, timeline.pieces[-1].tick)):
            return ()
        horizon = max(float(HORIZON_TICKS), abs(error) / BEND_MAX)
        fastest, slowest = _bends(reference.tempo_mbpm)
        if error and (room := (fastest if error > 0 else slowest) - 1):
            horizon = max(horizon, error / room)
        settled = landing + max(1, round(horizon + error))
        lasts_ns = self._source_ns(reference, settled) - timeline.ns_at(landing)
        bend_mbpm = (settled - landing) * NS_MBPM_PER_TICK / max(lasts_ns, 1.0)
        bend_mbpm = min(max(bend_mbpm, reference.tempo_mbpm * slowest), reference.tempo_mbpm * fastest)
        if round(bend_mbpm) == reference.tempo_mbpm == timeline.tempo_at(landing) == timeline.pieces[-1].tempo_mbpm:
            return ()  # at the edge of what can be played, there is no bend
        bend = timeline.change(round(bend_mbpm), now_ns)
        tempo = Piece(settled, timeline.ns_at(settled), reference.tempo_mbpm)
        timeline.apply(tempo)
        return bend, tempo

    def _behind(self, reference: Reference, landing: int, song_offset: int | None) -> float:
        """How many ticks we are behind the source at the landing tick, once the offset is fixed as it has to be."""
        at_ns = self._timeline.ns_at(landing)
        ahead = reference.tick + (at_ns - reference.at_ns) * reference.tempo_mbpm / NS_MBPM_PER_TICK - landing
        if self._offset is not None and abs(ahead - self._offset) <= HORIZON_TICKS:
            return ahead - self._offset
        if song_offset is None:
            self._offset = round(ahead)
        else:  # the bar is kept: its nearest place in the source's bars is what is aimed at
            quantum = reference.grid_ticks or self._quantum_ticks
            self._offset = song_offset + round((ahead - song_offset) / quantum) * quantum
        return ahead - self._offset

    def _on_time(self, reference: Reference, tick: int) -> bool:
        """Whether our ticks meet the source's there, and a beat later as well."""
        errors_ns = (self._timeline.ns_at(at) - self._source_ns(reference, at) for at in (tick, tick + TICKS_PER_BEAT))
        return all(abs(error_ns) <= self.tolerance_ns for error_ns in errors_ns)

    def _source_ns(self, reference: Reference, tick: int) -> float:
        """When the source is where our tick is."""
        return reference.at_ns + (tick + (self._offset or 0) - reference.tick) * NS_MBPM_PER_TICK / reference.tempo_mbpm


def _bends(tempo_mbpm: int) -> tuple[float, float]:
    """The fastest and the slowest that a tempo may be bent to, as shares of it."""
    fastest = min(1 + BEND_MAX, TEMPO_MAX_MBPM / tempo_mbpm)
    slowest = max(1 - BEND_MAX, TEMPO_MIN_MBPM / tempo_mbpm)
    return fastest, slowest
