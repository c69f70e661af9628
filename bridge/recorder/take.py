"""A take: what left the stage while recording, on the ticks of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bridge.messages import Event, Piece
from bridge.recorder.midifile import MeterChange, NoteEvent, TempoChange, Track
from bridge.timing.timeline import TempoMap

V = TypeVar("V")


@dataclass(slots=True)
class _Part:
    """A player's events so far, and which of its pitches sound since when."""

    channel: int
    events: list[NoteEvent] = field(default_factory=list)
    sounding: dict[int, int] = field(default_factory=dict)


class Take:
    """Collects in stage ticks; tick 0 of the file is the first tick that was played from."""

    def __init__(self, tempo_mbpm: int, numerator: int, denominator: int) -> None:
        self._origin: int | None = None
        self._last = 0
        self._parts: dict[str, _Part] = {}
        self._tempos = {-(1 << 62): tempo_mbpm}
        self._meters = {-(1 << 62): (numerator, denominator)}

    def begin(self, tick: int) -> None:
        """Playing began at a stage tick; only the first time counts."""
        if self._origin is None:
            self._origin = self._last = tick

    def tempo(self, tick: int, tempo_mbpm: int) -> None:
        """The tempo from a stage tick on; what was said of later ticks never took effect."""
        self._tempos = {at: tempo for at, tempo in self._tempos.items() if at < tick} | {tick: tempo_mbpm}

    def meter(self, tick: int, numerator: int, denominator: int) -> None:
        """The metre from a stage tick on."""
        self._meters = {at: meter for at, meter in self._meters.items() if at < tick} | {tick: (numerator, denominator)}

    def left(self, events: Sequence[Event]) -> None:
        """Take down what left."""
        for event in events:
            self.begin(event.tick - event.song_tick)
            part = self._parts.setdefault(event.player, _Part(event.channel))
            tick = self._file(event.tick)
            part.events.append(NoteEvent(tick, event.velocity, event.pitch))
            if event.velocity:
                part.sounding[event.pitch] = tick
            else:
                part.sounding.pop(event.pitch, None)
            self._last = max(self._last, event.tick)

    def finish(self, tick: int) -> None:
        """The end, a stage tick: the file lasts until there, and so does what still sounds."""
        self._last = max(self._last, tick)

    @property
    def end_tick(self) -> int:
        """Where the file ends."""
        return self._file(self._last)

    @property
    def tracks(self) -> list[Track]:
        """The players' parts, with an end for every note."""
        tracks = []
        for name, part in self._parts.items():
            ends = [NoteEvent(max(self.end_tick, since + 1), 0, pitch) for pitch, since in part.sounding.items()]
            tracks.append(Track(name, part.channel, [*part.events, *ends]))
        return tracks

    @property
    def tempos(self) -> list[TempoChange]:
        """The tempi in file ticks, from 0 on."""
        return [TempoChange(tick, tempo) for tick, tempo in self._from_zero(self._tempos)]

    @property
    def meters(self) -> list[MeterChange]:
        """The metres in file ticks, from 0 on."""
        return [MeterChange(tick, *meter) for tick, meter in self._from_zero(self._meters)]

    @property
    def tempo_map(self) -> TempoMap:
        """Nanoseconds from the file's start by file tick."""
        first, *rest = self.tempos
        found = TempoMap(Piece(first.tick, 0, first.tempo_mbpm))
        for change in rest:
            found.apply(Piece(change.tick, found.ns_at(change.tick), change.tempo_mbpm))
        return found

    def _file(self, stage_tick: int) -> int:
        return max(0, stage_tick - (self._origin or 0))

    def _from_zero(self, changes: dict[int, V]) -> list[tuple[int, V]]:
        """Changes by file tick: the last before the start holds at 0."""
        in_file: dict[int, V] = {}
        for tick in sorted(changes):
            in_file[self._file(tick)] = changes[tick]
        return sorted(in_file.items(), key=lambda item: item[0])
