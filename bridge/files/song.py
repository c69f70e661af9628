"""A song that is not played but written: bars one after the other, into the file its ending names."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from bridge.messages.stage import Piece
from bridge.recorder.midifile import MeterChange, TempoChange, Track, write_midi
from bridge.set import TEMPO_BPM_HIGH, TEMPO_BPM_LOW
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT, Meter, Note, Phrase
from engines.notes.roles import CHANNELS

ENDINGS = (".mid", ".jsonl", ".wav")
DRUM_CHANNEL = 10
FLUIDSYNTH_GAIN = "0.8"
"""Its own default, .2, leaves room for a hundred voices; a drum kit is far below full scale with it."""

WAV_RATE_HZ = 44_100
RENDER_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class SongBar:
    """One bar: its metre, its tempo in beats a minute, and its notes in ticks from the bar's start."""

    meter: Meter
    tempo_bpm: float
    phrase: Phrase


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How a song is written, for the commands that write one."""
    parser.add_argument("--velocity", type=int, metavar="1-127", help="one velocity for all, instead of the bars' own")
    parser.add_argument("--note-length", type=float, metavar="S", help="length of each note in seconds")
    parser.add_argument("--soundfont", type=Path, metavar="SF2", help="for .wav: FluidSynth plays it with this font")


def check_arguments(args: argparse.Namespace) -> None:
    """Raise SidemanError, before any work is done, for what the options above do not take."""
    if args.velocity is not None and not 1 <= args.velocity <= 127:
        raise SidemanError(f"--velocity takes a whole number from 1 to 127, not {args.velocity}")
    if args.note_length is not None and not 0.001 <= args.note_length <= 10.0:
        raise SidemanError(f"--note-length takes seconds from 0.001 to 10, not {args.note_length:g}")
    if args.bpm is not None and not TEMPO_BPM_LOW <= args.bpm <= TEMPO_BPM_HIGH:
        raise SidemanError(f"--bpm takes a number from {TEMPO_BPM_LOW:g} to {TEMPO_BPM_HIGH:g}, not {args.bpm:g}")


def plain(bar: SongBar, velocity: int | None, note_length_s: float | None) -> SongBar:
    """The bar with one velocity, or one length, for all its notes; None leaves them as they are."""
    if velocity is None and note_length_s is None:
        return bar
    length = None if note_length_s is None else max(1, round(note_length_s * bar.tempo_bpm / 60 * TICKS_PER_BEAT))
    notes = (
        Note(note.tick, note.pitch, velocity or note.velocity, length or note.length, note.part)
        for note in bar.phrase.notes
    )
    return SongBar(bar.meter, bar.tempo_bpm, Phrase(bar.phrase.length, tuple(sorted(notes)), bar.phrase.loop))


def check_path(path: Path) -> None:
    """Raise SidemanError, before any work is done, if a song could not be written there."""
    if path.suffix not in ENDINGS:
        raise SidemanError(f"{path} has no ending that tells what to write; use {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise SidemanError(f"there is no folder {path.parent}; make it first")


def write_song(path: Path, song: Sequence[SongBar], soundfont: Path | None = None) -> None:
    """Write bars as .mid, .jsonl (drums only) or .wav: with the built-in kit, or FluidSynth and a sound font.

    Loops go into a .wav alone. Raises SidemanError if it cannot be done. An older file is replaced only by a whole one.
    """
    check_path(path)
    if any(bar.phrase.loop for bar in song) and (path.suffix != ".wav" or soundfont):
        how = "without --soundfont" if soundfont else "to a .wav"
        raise SidemanError(f"{path}: these bars are audio; write them {how}")
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if path.suffix == ".jsonl":
            from bridge.files.jsonl import write_lines

            write_lines(partial, song)
        elif path.suffix == ".mid":
            _write_midi(partial, song)
        elif soundfont is not None:
            _write_with_fluidsynth(partial, song, soundfont)
        else:
            _write_with_kit(partial, song)
        partial.replace(path)
    except OSError as error:
        raise SidemanError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def song_notes(song: Sequence[SongBar]) -> tuple[list[Note], int]:
    """All notes in ticks from the song's start (the first bar's early downbeats fall on 0), and the song's length."""
    notes, start = [], 0
    for bar in song:
        notes += [structs.replace(note, tick=max(0, start + note.tick)) for note in bar.phrase.notes]
        start += bar.phrase.length
    return notes, start


def _changes(song: Sequence[SongBar]) -> tuple[list[TempoChange], list[MeterChange]]:
    """Tempi and metres with the tick of the bar line from which they hold."""
    tempos, meters, start = [], [], 0
    for i, bar in enumerate(song):
        if i == 0 or bar.tempo_bpm != song[i - 1].tempo_bpm:
            tempos.append(TempoChange(start, round(bar.tempo_bpm * 1000)))
        if i == 0 or bar.meter != song[i - 1].meter:
            meters.append(MeterChange(start, bar.meter.numerator, bar.meter.denominator))
        start += bar.phrase.length
    return tempos, meters


def _tracks(song: Sequence[SongBar]) -> tuple[list[Track], int]:
    """The song as a track for each part, and where it ends. Notes without a part are drums."""
    notes, end_tick = song_notes(song)
    parts = sorted({note.part for note in notes}) or [0]
    return [_part(part, [note for note in notes if note.part == part]) for part in parts], end_tick


def _part(part: int, notes: Sequence[Note]) -> Track:
    return Track.of_notes("notes" if part else "drums", CHANNELS[part - 1] if part else DRUM_CHANNEL, notes, part)


def _write_midi(path: Path, song: Sequence[SongBar]) -> None:
    tracks, end_tick = _tracks(song)
    tempos, meters = _changes(song)
    write_midi(path, tracks, tempos, meters, end_tick)


def _write_with_kit(path: Path, song: Sequence[SongBar]) -> None:
    from bridge.recorder.loops import LoopStart
    from bridge.recorder.wavfile import write_wav

    tracks, end_tick = _tracks(song)
    first, *rest = _changes(song)[0]
    tempo_map = TempoMap(Piece(first.tick, 0, first.tempo_mbpm))
    for change in rest:
        tempo_map.apply(Piece(change.tick, tempo_map.ns_at(change.tick), change.tempo_mbpm))
    starts = itertools.accumulate((bar.phrase.length for bar in song), initial=0)
    loops = [
        LoopStart("", bar.phrase.loop, start, bar.phrase.length)
        for start, bar in zip(starts, song, strict=False)
        if bar.phrase.loop
    ]
    write_wav(path, tracks, tempo_map, end_tick, loops)


def _write_with_fluidsynth(path: Path, song: Sequence[SongBar], soundfont: Path) -> None:
    program = shutil.which("fluidsynth")
    if program is None:
        raise SidemanError("--soundfont needs FluidSynth: install the package fluidsynth, or leave --soundfont out")
    if not soundfont.is_file():
        raise SidemanError(f"there is no sound font {soundfont}; give an .sf2 file")
    with tempfile.TemporaryDirectory() as folder:
        midi = Path(folder) / "song.mid"
        _write_midi(midi, song)
        command = [
            program,
            "-ni",
            "-q",
            "-g",
            FLUIDSYNTH_GAIN,
            "-F",
            str(path),
            "-r",
            str(WAV_RATE_HZ),
            str(soundfont),
            str(midi),
        ]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise SidemanError(
                f"FluidSynth did not finish {path.name} in {RENDER_TIMEOUT_S} s; use fewer bars"
            ) from error
    if result.returncode or not path.is_file() or "not a SoundFont" in result.stderr:
        said = next(iter(result.stderr.splitlines()), "it did not say why")
        raise SidemanError(f"FluidSynth could not render with {soundfont}: {said}; give another .sf2 file")
