"""MIDI files: notes with exact ticks, their tempi and metres, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.music import TICKS_PER_BEAT, Note
from engines.notes.roles import CHANNELS, ROLES


@dataclass(frozen=True, slots=True, order=True)
class NoteEvent:
    """A note-on, or with velocity 0 a note-off, at a tick from the start of the file."""

    tick: int
    velocity: int
    pitch: int


@dataclass(frozen=True, slots=True)
class Track:
    """What a player plays on a MIDI channel, 1-16.

    part: see engines.music.Note; told: the program that it is to have instead of its seat's
    """

    player: str
    channel: int
    events: Sequence[NoteEvent]
    part: int = 0
    told: int | None = None

    @property
    def name(self) -> str:
        """The player's, with its part's where it has one."""
        return f"{self.player} {ROLES[self.part - 1].name}" if self.part else self.player

    @property
    def program(self) -> int | None:
        """General MIDI's program of its part; None for drums, and for what has no part."""
        role = ROLES[self.part - 1] if self.part else None
        seats = role.program if role and role.programs else None
        return seats if self.told is None else self.told

    @property
    def sounds_on(self) -> int:
        """The channel whose sound our own instruments give it, wherever it is sent."""
        return CHANNELS[self.part - 1] if self.part else self.channel

    @classmethod
    def of_notes(cls, player: str, channel: int, notes: Iterable[Note], part: int = 0) -> Track:
        """A track from whole notes. A note that is struck again while it sounds ends there."""
        events: list[NoteEvent] = []
        begun: dict[int, int] = {}
        ends: dict[int, int] = {}
        for note in sorted(notes):
            tick = max(0, note.tick)
            if begun.get(note.pitch) == tick:
                continue  # the same note twice
            if note.pitch in ends:
                events.append(NoteEvent(min(ends[note.pitch], tick), 0, note.pitch))
            events.append(NoteEvent(tick, note.velocity, note.pitch))
            begun[note.pitch] = tick
            ends[note.pitch] = tick + note.length
        events += [NoteEvent(end, 0, pitch) for pitch, end in ends.items()]
        return cls(player, channel, sorted(events, key=_order), part)


@dataclass(frozen=True, slots=True)
class TempoChange:
    """From a tick on, thousandths of a beat a minute."""

    tick: int
    tempo_mbpm: int


@dataclass(frozen=True, slots=True)
class MeterChange:
    """From a tick on, a metre."""

    tick: int
    numerator: int
    denominator: int


def write_midi(
    path: Path, tracks: Iterable[Track], tempos: Iterable[TempoChange], meters: Iterable[MeterChange], end_tick: int
) -> None:
    """Write a MIDI file of type 1, 960 ticks to the beat, under its name only once it is whole.

    end_tick is where every track ends, if its last note doesn't end later. Raises OSError.
    """
    import mido

    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    timed = [(t.tick, mido.MetaMessage("set_tempo", tempo=round(60e9 / t.tempo_mbpm))) for t in tempos]
    timed += [
        (m.tick, mido.MetaMessage("time_signature", numerator=m.numerator, denominator=m.denominator)) for m in meters
    ]
    timed.sort(key=lambda pair: pair[0])
    file.tracks.append(_track("", timed, end_tick))
    for track in tracks:
        messages = [] if track.program is None else [(0, _program(track.channel, track.program))]
        messages += [
            (event.tick, mido.Message("note_on", channel=track.channel - 1, note=event.pitch, velocity=event.velocity))
            if event.velocity
            else (event.tick, mido.Message("note_off", channel=track.channel - 1, note=event.pitch, velocity=64))
            for event in sorted(track.events, key=_order)
        ]
        file.tracks.append(_track(track.name, messages, end_tick))
    partial = path.with_name(path.name + ".part")
    file.save(partial)
    partial.replace(path)


def _program(channel: int, program: int):  # type: ignore[no-untyped-def]
    import mido

    return mido.Message("program_change", channel=channel - 1, program=program)


def _track(name: str, timed: list, end_tick: int):  # type: ignore[no-untyped-def, type-arg]
    """A mido track from messages with absolute ticks."""
    import mido

    track = mido.MidiTrack()
    if name:
        track.append(mido.MetaMessage("track_name", name=name))
    last = 0
    for tick, message in timed:
        track.append(message.copy(time=tick - last))
        last = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end_tick - last)))
    return track


def _order(event: NoteEvent) -> tuple[int, bool, int]:
    """By tick, ends before beginnings, then by pitch: the same music is the same file, played live or generated."""
    return event.tick, event.velocity > 0, event.pitch
