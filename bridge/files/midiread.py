"""Drum bars out of any MIDI file, which is untrusted: bounded, and each thing wrong with it said in one line."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any, TypeVar

from bridge.files.song import SongBar
from engines.errors import SidemanError
from engines.music import DRUM_OF_PITCH, STEP_TICKS, TICKS_PER_BEAT, Meter, Note, Phrase

FILE_BYTES_MAX = 1 << 24
BARS_MAX = 100_000
DRUM_CHANNEL = 9
"""MIDI's channel 10, counted from 0."""


def read_midi(path: Path) -> list[SongBar]:
    """The bars of the drum channel, up to its last hit; pitches that are no drum are left out.

    A hit within half a step before a bar line is the next bar's early downbeat. Raises SidemanError for a file that is
    not MIDI, is cut short, has no drums, or a tempo or metre that cannot be.
    """
    onsets, tempos, meters = _events(path, _open(path))
    if not onsets:
        raise SidemanError(f"{path} has no drums on MIDI channel 10; give a file that has")
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
            notes.append(Note(note.tick - start, note.pitch, note.velocity, note.length))
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


def _events(path: Path, file: Any) -> tuple[list[Note], list[tuple[int, float]], list[tuple[int, Meter]]]:
    """Drum onsets in song ticks; (tick, bpm) and (tick, metre) from each tick on; all in order."""
    onsets: list[Note] = []
    tempos: list[tuple[int, float]] = [(0, 120.0)]
    meters: list[tuple[int, Meter]] = [(0, Meter())]
    for track in file.tracks:
        at = 0
        for message in track:
            at += message.time
            tick = at * TICKS_PER_BEAT // file.ticks_per_beat
            if message.type == "note_on" and message.channel == DRUM_CHANNEL and message.velocity > 0:
                if message.note in DRUM_OF_PITCH:
                    onsets.append(Note(tick, message.note, message.velocity, STEP_TICKS // 2))
            elif message.type == "set_tempo":
                if message.tempo <= 0:
                    raise SidemanError(f"{path} has a tempo of zero at beat {tick // TICKS_PER_BEAT}; mend it first")
                tempos.append((tick, min(max(60e6 / message.tempo, 20.0), 999.0)))
            elif message.type == "time_signature":
                meters.append((tick, _meter(path, message.numerator, message.denominator)))
    return sorted(onsets), sorted(tempos), sorted(meters, key=lambda change: change[0])


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
