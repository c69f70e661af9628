"""Bars out of any MIDI file, which is untrusted: bounded, and each thing wrong with it said in one line."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from bridge.files.song import SongBar
from engines.errors import SidemanError
from engines.music import DRUM_OF_PITCH, STEP_TICKS, TICKS_PER_BEAT, Meter, Note, Phrase
from engines.notes.roles import DRUMS, ROLE_OF_PROGRAM

FILE_BYTES_MAX = 1 << 24
BARS_MAX = 100_000
DRUM_CHANNEL = 9
"""MIDI's channel 10, counted from 0."""


def read_midi(path: Path, *, drums_only: bool = True) -> list[SongBar]:
    """The bars of a file, up to its last onset.

    drums_only: of the drum channel, without parts; pitches that are no drum are left out. Else all channels, each note
    with its part: that of its channel's General MIDI program (engines.notes.roles).

    A note within half a step before a bar line is the next bar's early downbeat. Raises SidemanError for a file that is
    not MIDI, is cut short, has no notes, or a tempo or metre that cannot be.
    """
    file = _open(path)
    onsets = _drums(file) if drums_only else _parts(file)
    tempos, meters = _changes(path, file)
    if not onsets:
        has = "drums on MIDI channel 10" if drums_only else "notes"
        raise SidemanError(f"{path} has no {has}; give a file that has")
    bars: list[SongBar] = []
    start, next_onset = 0, 0
    while next_onset < len(onsets):
        if len(bars) == BARS_MAX:
            raise SidemanError(f"{path} is over {BARS_MAX} bars long; cut it")
        meter = _at(meters, start)
        end = start + meter.bar_ticks
        notes = []
        while next_onset < len(onsets) and onsets[next_onset].tick < end - STEP_TICKS // 2:
            note = onsets[next_onset]
            notes.append(Note(note.tick - start, note.pitch, note.velocity, note.length, note.part))
            next_onset += 1
        bars.append(SongBar(meter, _at(tempos, start), Phrase.of(meter.bar_ticks, notes)))
        start = end
    return bars


def _open(path: Path) -> Any:
    """The file as mido reads it. mido answers damage with half a dozen kinds of exception."""
    import mido

    if path.stat().st_size > FILE_BYTES_MAX:
        raise SidemanError(f"{path} is over {FILE_BYTES_MAX >> 20} MiB: too big for a MIDI file")
    try:
        file = mido.MidiFile(path, clip=True)
    except EOFError as error:
        raise SidemanError(f"{path} is cut short, or no MIDI file; get it again") from error
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise SidemanError(f"{path} is no MIDI file: {error or type(error).__name__}") from error
    if file.type not in (0, 1) or file.ticks_per_beat <= 0:
        raise SidemanError(f"{path} counts time in a way that has no beats; export it as MIDI type 0 or 1")
    return file


def _messages(file: Any) -> Iterator[tuple[int, Any]]:
    """The messages of all tracks in the order of time, each with its tick, 960 a beat."""
    timed = []
    for track in file.tracks:
        at = 0
        for message in track:
            at += message.time
            timed.append((at * TICKS_PER_BEAT // file.ticks_per_beat, message))
    return iter(sorted(timed, key=lambda pair: pair[0]))


def _drums(file: Any) -> list[Note]:
    """Drum onsets in song ticks, in order."""
    return sorted(
        Note(tick, message.note, message.velocity, STEP_TICKS // 2)
        for tick, message in _messages(file)
        if message.type == "note_on" and message.channel == DRUM_CHANNEL and message.velocity > 0
        if message.note in DRUM_OF_PITCH
    )


def _parts(file: Any) -> list[Note]:
    """The notes of all channels in song ticks, in order. One that nobody ends is a sixteenth long."""
    notes: list[Note] = []
    parts = [DRUMS + 1 if channel == DRUM_CHANNEL else ROLE_OF_PROGRAM[0] + 1 for channel in range(16)]
    begun: dict[tuple[int, int], deque[tuple[int, int, int]]] = defaultdict(deque)
    for tick, message in _messages(file):
        if message.type == "program_change" and message.channel != DRUM_CHANNEL:
            parts[message.channel] = ROLE_OF_PROGRAM[message.program] + 1
        elif message.type == "note_on" and message.velocity > 0:
            begun[message.channel, message.note].append((tick, message.velocity, parts[message.channel]))
        elif message.type in ("note_on", "note_off") and begun[message.channel, message.note]:
            start, velocity, part = begun[message.channel, message.note].popleft()
            notes.append(Note(start, message.note, velocity, max(1, tick - start), part))
    for (_, pitch), left in begun.items():
        notes += [Note(start, pitch, velocity, STEP_TICKS, part) for start, velocity, part in left]
    return sorted(notes)


def _changes(path: Path, file: Any) -> tuple[list[tuple[int, float]], list[tuple[int, Meter]]]:
    """(tick, bpm) and (tick, metre) from each tick on, in order."""
    tempos: list[tuple[int, float]] = [(0, 120.0)]
    meters: list[tuple[int, Meter]] = [(0, Meter())]
    for tick, message in _messages(file):
        if message.type == "set_tempo":
            if message.tempo <= 0:
                raise SidemanError(f"{path} has a tempo of zero at beat {tick // TICKS_PER_BEAT}; mend it first")
            tempos.append((tick, min(max(60e6 / message.tempo, 20.0), 999.0)))
        elif message.type == "time_signature":
            meters.append((tick, _meter(path, message.numerator, message.denominator)))
    return tempos, meters


def _meter(path: Path, numerator: int, denominator: int) -> Meter:
    try:
        return Meter.parse(f"{numerator}/{denominator}")
    except SidemanError as error:
        raise SidemanError(
            f"{path} has a time signature of {numerator}/{denominator}; up to 32/16 can be read"
        ) from error


_T = TypeVar("_T")


def _at(changes: list[tuple[int, _T]], tick: int) -> _T:
    """The value in force at a tick: that of the last change at or before it."""
    return changes[bisect_right(changes, tick, key=lambda change: change[0]) - 1][1]
