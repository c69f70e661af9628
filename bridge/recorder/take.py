"""A take: what left the stage while recording, on the ticks of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bridge.messages.stage import Event, Piece
from bridge.recorder.midifile import MeterChange, NoteEvent, TempoChange, Track
from bridge.timing.timeline import TempoMap

V = TypeVar("V")

BEFORE = -(1 << 62)
"""A tick before every other."""


@dataclass(slots=True)
class _Part:
    """What a player has played on one channel so far, and which of its pitches sound since when.

    part: see engines.music.Note
    """

    channel: int
    part: int
    events: list[NoteEvent] = field(default_factory=list)
    sounding: dict[int, int] = field(default_factory=dict)


class Take:
    """Collects in stage ticks; tick 0 of the file is the first tick that was played from."""

    def __init__(
        self, tempo_mbpm: int, numerator: int, denominator: int, programs: Mapping[str, Mapping[int, int]] | None = None
    ) -> None:
        """programs: see bridge.messages.recorder.Record."""
        self._programs = programs or {}
        self._origin: int | None = None
        self._last = self._settled = 0
        self._parts: dict[tuple[str, int, int], _Part] = {}
        self._tempos = [(BEFORE, tempo_mbpm)]
        self._map = TempoMap(Piece(0, 0, tempo_mbpm))
        self._epoch_tick = 0
        self._meters = [(BEFORE, (numerator, denominator))]

    def begin(self, tick: int) -> None:
        """Playing began at a stage tick; only the first time counts for where the file begins."""
        self._epoch_tick = tick
        if self._origin is None:
            self._origin = self._last = self._settled = tick
            first, *rest = self.tempos
            self._map = TempoMap(Piece(0, 0, first.tempo_mbpm))
            for change in rest:
                self._map.apply(Piece(change.tick, self._map.ns_at(change.tick), change.tempo_mbpm))

    def tempo(self, tick: int, tempo_mbpm: int) -> Piece | None:
        """The tempo from a stage tick on; what was said of later ticks never took effect.

        Returned as a piece of the file's own map, once it has begun.
        """
        _replace_from(self._tempos, tick, tempo_mbpm)
        if self._origin is None:
            return None
        at = self.file_tick(tick)
        piece = Piece(at, self._map.ns_at(at), tempo_mbpm)
        self._map.apply(piece)
        return piece

    def meter(self, tick: int, numerator: int, denominator: int) -> None:
        """The metre from a stage tick on."""
        _replace_from(self._meters, tick, (numerator, denominator))

    def left(self, events: Sequence[Event]) -> list[Track]:
        """Take down what left; returned on the file's ticks."""
        new: dict[tuple[str, int, int], list[NoteEvent]] = {}
        for event in events:
            if self._origin is None:
                self.begin(event.tick - event.song_tick)
            key = (event.player, event.part, event.channel)
            part = self._parts.setdefault(key, _Part(event.channel, event.part))
            note = NoteEvent(self.file_tick(event.tick), event.velocity, event.pitch)
            part.events.append(note)
            if event.velocity:
                part.sounding[event.pitch] = note.tick
            else:
                part.sounding.pop(event.pitch, None)
            self._last = self._settled = max(self._last, event.tick)
            new.setdefault(key, []).append(note)
        return [Track(player, channel, events, part) for (player, part, channel), events in new.items()]

    def bar(self, tick: int, length_ticks: int) -> None:
        """A bar begins at a stage tick. What is to leave just before it may still come: a bar back all is settled."""
        self._last = max(self._last, tick)
        self._settled = max(self._settled, tick - length_ticks)

    @property
    def settled_tick(self) -> int:
        """The file's tick before which nothing comes any more."""
        return self.file_tick(self._settled)

    @property
    def heard_from(self) -> int:
        """The file's tick from which this epoch is heard: a bar may have begun before it."""
        return self.file_tick(self._epoch_tick)

    def finish(self, tick: int) -> None:
        """The end, a stage tick: the file lasts until there, and so does what still sounds."""
        self._last = self._settled = max(self._last, tick)

    @property
    def end_tick(self) -> int:
        """Where the file ends."""
        return self.file_tick(self._last)

    @property
    def ends(self) -> list[Track]:
        """The ends that are still missing, at the end."""
        return [
            Track(
                key[0],
                part.channel,
                [NoteEvent(max(self.end_tick, at + 1), 0, pitch) for pitch, at in part.sounding.items()],
                part.part,
            )
            for key, part in self._parts.items()
        ]

    @property
    def tracks(self) -> list[Track]:
        """The players' parts, with an end for every note: players as they came in, the parts of each in order."""
        players = list(dict.fromkeys(player for player, _, _ in self._parts))
        tracks = [
            Track(
                ends.player,
                part.channel,
                [*part.events, *ends.events],
                part.part,
                self._programs.get(ends.player, {}).get(part.part),
            )
            for part, ends in zip(self._parts.values(), self.ends, strict=True)
        ]
        return sorted(tracks, key=lambda track: (players.index(track.player), track.part, track.channel))

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
        """Nanoseconds from the file's start by file tick, over the last of the pieces."""
        return self._map

    def file_tick(self, stage_tick: int) -> int:
        """The file's tick of a stage tick; 0 for what was before."""
        return max(0, stage_tick - (self._origin or 0))

    def _from_zero(self, changes: list[tuple[int, V]]) -> list[tuple[int, V]]:
        """Changes by file tick: the last before the start holds at 0."""
        return sorted({self.file_tick(tick): value for tick, value in changes}.items(), key=lambda item: item[0])


def _replace_from(changes: list[tuple[int, V]], tick: int, value: V) -> None:
    """From a tick on it is this value; what was said of later ticks never took effect."""
    while changes[-1][0] >= tick:
        changes.pop()
    changes.append((tick, value))
