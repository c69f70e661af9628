"""DrumTrack: the drum hits, metres and tempi of a MIDI file, from untrusted bytes.

mido reads the file; this module bounds what comes out and turns it into ticks of engines.music.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.music import DRUM_OF_PITCH, TICKS_PER_BEAT, Meter

MAX_HOURS = 3
MAX_BEATS = MAX_HOURS * 60 * 999
"""Beats of MAX_HOURS at the fastest tempo: what bounds the grid a file can ask for."""
MAX_CHANGES = 10_000
"""Changes of tempo, and of metre, that a file may hold."""
DRUM_CHANNEL = 9
"""Channel 10 to a musician; the wire counts from 0."""
DEFAULT_TEMPO_US = 500_000


class UnusableError(Exception):
    """Why a file gives no drums; the text is the reason in the report."""


@dataclass(frozen=True, slots=True)
class DrumTrack:
    """What a MIDI file says about drums. Ticks are 960 a quarter note; all lists are in order of time.

    ticks:      int64 [N] onsets
    instrument: int64 [N] index in engines.music.DRUMS
    velocity:   int64 [N] 1-127
    meters:     (tick, metre) from which each metre holds; the first is at tick 0; None: a metre outside Meter's
    tempi:      (tick, microseconds a quarter note), the first at tick 0
    has_tempo:  the file states a tempo itself
    other_notes: drum notes outside the nine-piece kit (shakers, congas, ...), left out
    """

    ticks: NDArray[np.int64]
    instrument: NDArray[np.int64]
    velocity: NDArray[np.int64]
    meters: tuple[tuple[int, Meter | None], ...]
    tempi: tuple[tuple[int, int], ...]
    has_tempo: bool
    other_notes: int

    def seconds(self, tick: int) -> float:
        """When a tick sounds, in seconds from the start."""
        starts, tempi = np.array(self.tempi, np.float64).T
        inside = np.clip(tick - starts, 0.0, np.append(np.diff(starts), np.inf))
        return float((inside * tempi).sum() / TICKS_PER_BEAT / 1e6)


def read_drums(data: bytes, any_channel: bool = False) -> DrumTrack:
    """Read the drums of a Standard MIDI File.

    any_channel: take the notes of every channel, for drum files that do not use channel 10
    Raises UnusableError with the reason: not MIDI, cut short, in SMPTE time, a tempo of zero, too long, or no drums.
    """
    import mido

    if not data.startswith(b"MThd"):
        raise UnusableError("not a MIDI file")
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except EOFError as problem:
        raise UnusableError("cut short: the MIDI file ends inside a track") from problem
    except Exception as problem:  # a parser of foreign bytes may raise anything; the file is dropped, the run goes on
        raise UnusableError(f"damaged MIDI ({str(problem) or type(problem).__name__:.80})") from problem
    if file.type == 2:
        raise UnusableError("MIDI format 2: its tracks have no common time; save it as format 0 or 1")
    if file.ticks_per_beat <= 0:
        raise UnusableError("timed in SMPTE frames, not in beats")
    return _collect(file, any_channel)


def _collect(file: Any, any_channel: bool) -> DrumTrack:
    """file: mido.MidiFile, which has no types."""
    hits: list[tuple[int, int, int]] = []
    meters: dict[int, Meter | None] = {0: Meter()}
    tempi: dict[int, int] = {0: DEFAULT_TEMPO_US}
    has_tempo = False
    other_notes = any_notes = 0
    end = MAX_BEATS * file.ticks_per_beat
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if now > end:
                raise UnusableError(f"longer than {MAX_BEATS:,} beats")
            kind = message.type
            if kind == "note_on" and message.velocity > 0:
                any_notes += 1
                if any_channel or message.channel == DRUM_CHANNEL:
                    instrument = DRUM_OF_PITCH.get(message.note)
                    if instrument is None:
                        other_notes += 1
                    else:
                        hits.append((_ticks(now, file), instrument, message.velocity))
            elif kind == "set_tempo":
                tempi[_ticks(now, file)] = message.tempo
                has_tempo = True
            elif kind == "time_signature":
                meters[_ticks(now, file)] = _meter(message.numerator, message.denominator)
    _check_changes(tempi, meters)
    if not hits:
        raise UnusableError(_why_drumless(any_notes, other_notes))
    hits.sort()
    ticks, instrument, velocity = np.array(hits, np.int64).T
    drums = DrumTrack(
        ticks, instrument, velocity, tuple(sorted(meters.items(), key=_first)), tuple(sorted(tempi.items())),
        has_tempo, other_notes,
    )  # fmt: skip
    if drums.seconds(int(ticks[-1])) > MAX_HOURS * 3600:
        raise UnusableError(f"longer than {MAX_HOURS} hours")
    return drums


def _check_changes(tempi: dict[int, int], meters: dict[int, Meter | None]) -> None:
    if 0 in tempi.values():
        raise UnusableError("a tempo of zero microseconds a beat; mend it in a MIDI editor")
    if max(len(tempi), len(meters)) > MAX_CHANGES:
        raise UnusableError(f"more than {MAX_CHANGES:,} changes of tempo or metre")


def _ticks(own_ticks: int, file: Any) -> int:
    """A file's ticks in ours, to the nearest."""
    return int((own_ticks * TICKS_PER_BEAT * 2 + file.ticks_per_beat) // (2 * file.ticks_per_beat))


def _meter(numerator: int, denominator: int) -> Meter | None:
    known = 1 <= numerator <= 32 and denominator in (1, 2, 4, 8, 16)
    return Meter(numerator, denominator) if known else None


def _first(pair: tuple[int, Meter | None]) -> int:
    return pair[0]


def _why_drumless(any_notes: int, other_notes: int) -> str:
    if other_notes:
        return "no hits of the nine-piece kit (other percussion only)"
    if any_notes:
        return "drumless: no notes on channel 10 (--any-channel takes every channel)"
    return "drumless: no notes at all"
