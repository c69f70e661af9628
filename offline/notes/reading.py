"""Reading: the notes, metres and tempi of a MIDI file as plain arrays, in ticks of engines.music.

symusic reads the file; this module bounds what comes out of untrusted bytes, as offline/data/midi.py does for drums.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.music import TICKS_PER_BEAT, Meter
from offline.data.midi import DEFAULT_TEMPO_US, MAX_BEATS, MAX_CHANGES, MAX_HOURS, UnusableError

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a MIDI file says. Ticks are 960 a quarter note; notes are in order of time, then of pitch.

    ticks:     int64 [N] onsets
    program:   int64 [N] General MIDI program 0-127 of the note's track and channel
    is_drum:   bool  [N] a note of channel 10
    pitch:     int64 [N] 0-127
    velocity:  int64 [N] 1-127
    length:    int64 [N] ticks, at least 1
    meters:    (tick, metre) from which each metre holds; the first is at tick 0; None: a metre outside Meter's
    tempi:     (tick, microseconds a quarter note), the first at tick 0
    has_tempo: the file states a tempo itself
    """

    ticks: NDArray[np.int64]
    program: NDArray[np.int64]
    is_drum: NDArray[np.bool_]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    length: NDArray[np.int64]
    meters: tuple[tuple[int, Meter | None], ...]
    tempi: tuple[tuple[int, int], ...]
    has_tempo: bool

    def seconds(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """When each tick sounds, in seconds from the start."""
        starts, tempi = np.array(self.tempi, np.float64).T
        at = np.append(0.0, np.cumsum(np.diff(starts) * tempi[:-1]))
        i = np.searchsorted(starts, ticks, side="right") - 1
        seconds: NDArray[np.float64] = (at[i] + (ticks - starts[i]) * tempi[i]) / TICKS_PER_BEAT / 1e6
        return seconds


def read_midi(data: bytes) -> Reading:
    """Read a Standard MIDI File of any number of tracks.

    Raises UnusableError with the reason: not MIDI, cut short or damaged, in SMPTE time, a tempo of zero, too long, too
    many changes of tempo or metre, or no notes.
    """
    if not data.startswith(b"MThd"):
        raise UnusableError("not a MIDI file")
    if data[8:10] == b"\0\2":
        raise UnusableError("MIDI format 2: its tracks have no common time; save it as format 0 or 1")
    score = _score(data)
    per_beat = score.ticks_per_quarter
    if len(score.tempos) > MAX_CHANGES or len(score.time_signatures) > MAX_CHANGES:
        raise UnusableError(f"more than {MAX_CHANGES:,} changes of tempo or metre")
    columns: list[list[NDArray[np.int64]]] = [[] for _ in range(6)]
    for track in score.tracks:
        notes = track.notes.numpy()
        count = len(notes["time"])
        for column, values in zip(
            columns,
            (
                notes["time"], np.full(count, track.program), np.full(count, track.is_drum),
                notes["pitch"], notes["velocity"], notes["duration"],
            ),
            strict=True,
        ):  # fmt: skip
            column.append(values.astype(np.int64))
    if not any(len(values) for values in columns[0]):
        raise UnusableError("no notes at all")
    own, program, is_drum, pitch, velocity, own_length = (np.concatenate(values) for values in columns)
    if own.min() < 0 or own.max() > MAX_BEATS * per_beat:  # a sum of times that ran over comes out below 0
        raise UnusableError(f"longer than {MAX_BEATS:,} beats")
    sounding = (pitch >= 0) & (pitch <= 127) & (velocity >= 1) & (velocity <= 127) & (program >= 0) & (program <= 127)
    if not sounding.any():
        raise UnusableError("no notes at all")
    ticks = _ours(own, per_beat)
    length = np.maximum(_ours(own + np.maximum(own_length, 0), per_beat) - ticks, 1)
    order = np.lexsort((pitch, ticks))
    order = order[sounding[order]]
    reading = Reading(
        ticks[order], program[order], is_drum[order].astype(np.bool_), pitch[order], velocity[order], length[order],
        _changes(Meter(), ((m.time, _meter(m)) for m in score.time_signatures), per_beat),
        _changes(DEFAULT_TEMPO_US, ((t.time, int(t.mspq)) for t in score.tempos), per_beat),
        bool(score.tempos),
    )  # fmt: skip
    if min(tempo for _, tempo in reading.tempi) <= 0:
        raise UnusableError("a tempo of zero microseconds a beat; mend it in a MIDI editor")
    if reading.seconds(reading.ticks[-1:])[0] > MAX_HOURS * 3600:
        raise UnusableError(f"longer than {MAX_HOURS} hours")
    return reading


def _score(data: bytes) -> Any:
    """symusic's score, or the reason why there is none."""
    from symusic import Score

    try:
        score: Any = Score.from_midi(data)
    except (RuntimeError, ValueError, MemoryError) as problem:
        if "ticks per quarter" in str(problem):
            raise UnusableError("timed in SMPTE frames, not in beats") from problem
        raise UnusableError("cut short or damaged") from problem
    if score.ticks_per_quarter < 1:
        raise UnusableError("damaged: no ticks in a beat")
    return score


def _ours(own: NDArray[np.int64], per_beat: int) -> NDArray[np.int64]:
    """A file's ticks in ours, to the nearest."""
    return (own * (2 * TICKS_PER_BEAT) + per_beat) // (2 * per_beat)


def _changes(default: _Value, stated: Iterable[tuple[int, _Value]], per_beat: int) -> tuple[tuple[int, _Value], ...]:
    """Changes by tick, the last of one moment, from tick 0 on."""
    changes = {0: default}
    for own, value in stated:
        changes[max(0, int(_ours(np.array(own, np.int64), per_beat)))] = value
    return tuple(sorted(changes.items(), key=_tick_of))


def _tick_of(change: tuple[int, Any]) -> int:
    return change[0]


def _meter(stated: Any) -> Meter | None:
    numerator, denominator = int(stated.numerator), int(stated.denominator)
    known = 1 <= numerator <= 32 and denominator in (1, 2, 4, 8, 16)
    return Meter(numerator, denominator) if known else None
