from __future__ import annotations

import io

import mido
import numpy as np
import pytest

from engines.music import Meter
from offline.data.midi import UnusableError
from offline.notes.reading import read_midi

pytest.importorskip("symusic", reason="needs the extra train")

BEAT = 480
Note = tuple[float, float, int, int, int]


def song(
    notes: list[Note],
    meters: list[tuple[float, int, int]] = [(0, 4, 4)],  # noqa: B006 - never changed
    tempi: list[tuple[float, int]] = [(0, 500_000)],  # noqa: B006
    programs: dict[int, int] | None = None,
    ticks_per_beat: int = BEAT,
) -> bytes:
    """A MIDI file; notes as (time, length, pitch, velocity, channel), times in quarter notes."""
    events = [(t, 0, mido.MetaMessage("time_signature", numerator=n, denominator=d)) for t, n, d in meters]
    events += [(t, 1, mido.MetaMessage("set_tempo", tempo=tempo)) for t, tempo in tempi]
    events += [(0, 2, mido.Message("program_change", channel=c, program=p)) for c, p in (programs or {}).items()]
    for time, length, pitch, velocity, channel in notes:
        events.append((time, 4, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        events.append((time + length, 3, mido.Message("note_off", channel=channel, note=pitch)))
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    track = mido.MidiTrack()
    file.tracks.append(track)
    now = 0
    for time, _, message in sorted(events, key=lambda event: event[:2]):
        tick = round(time * ticks_per_beat)
        track.append(message.copy(time=tick - now))
        now = tick
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def scale(beats: int, channel: int = 0) -> list[Note]:
    return [(float(i), 1.0, 60 + i % 12, 70 + i % 20, channel) for i in range(beats)]


def test_notes_are_read_with_their_program_length_and_drums_in_order_of_time() -> None:
    notes = [(1.5, 0.25, 64, 90, 0), (0, 2, 60, 80, 0), (0, 0.1, 36, 100, 9), (0, 1, 40, 70, 2)]
    reading = read_midi(song(notes, programs={0: 33, 2: 56}))
    assert reading.ticks.tolist() == [0, 0, 0, 1440]
    assert reading.pitch.tolist() == [36, 40, 60, 64]
    assert reading.program[1:].tolist() == [56, 33, 33]
    assert reading.is_drum.tolist() == [True, False, False, False]
    assert reading.velocity.tolist() == [100, 70, 80, 90]
    assert reading.length.tolist() == [96, 960, 1920, 240]


def test_any_resolution_becomes_960_a_beat_to_the_nearest_tick() -> None:
    reading = read_midi(song([(1 / 3, 1 / 3, 60, 80, 0), (2 / 3, 1 / 3, 62, 80, 0)], ticks_per_beat=96))
    assert reading.ticks.tolist() == [320, 640]
    assert reading.length.tolist() == [320, 320]


def test_metres_and_tempi_are_kept_as_changes() -> None:
    meters = [(0, 7, 8), (7, 4, 4), (11, 33, 32)]
    reading = read_midi(song(scale(16), meters, [(0, 500_000), (8, 250_000)]))
    assert reading.meters == ((0, Meter(7, 8)), (6720, Meter(4, 4)), (10560, None))
    assert reading.tempi == ((0, 500_000), (7680, 250_000))
    assert reading.seconds(np.array([960, 7680, 8640])).tolist() == [0.5, 4.0, 4.25]


def test_a_file_that_states_no_tempo_is_at_120_in_4_4() -> None:
    reading = read_midi(song(scale(4), [], []))
    assert (reading.tempi, reading.meters, reading.has_tempo) == (((0, 500_000),), ((0, Meter(4, 4)),), False)


def test_a_file_of_300_tracks_is_read_whole() -> None:
    file = mido.MidiFile(ticks_per_beat=BEAT)
    for i in range(300):
        track = mido.MidiTrack()
        track.append(mido.Message("program_change", program=i % 128, channel=i % 9))
        track.append(mido.Message("note_on", note=i % 128, velocity=64, channel=i % 9))
        track.append(mido.Message("note_off", note=i % 128, time=BEAT, channel=i % 9))
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    reading = read_midi(buffer.getvalue())
    assert len(reading.ticks) == 300
    assert set(reading.program.tolist()) == set(range(128))


SMPTE = b"MThd\0\0\0\6\0\1\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a MIDI file"),
        (b"RIFF....", "not a MIDI file"),
        (b"MThd", "cut short or damaged"),
        (song(scale(8))[:-20], "cut short or damaged"),
        (song(scale(8))[:14], "no notes at all"),
        (b"MThd\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\4\0\xff\x2f\0", "damaged"),
        (b"MThd\0\0\0\6\0\2\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "format 2"),
        (SMPTE, "SMPTE"),
        (song([]), "no notes at all"),
        (song(scale(4), tempi=[(0, 0)]), "tempo of zero"),
        (song([(0, 1, 60, 80, 0), (6000, 1, 60, 80, 0)], tempi=[(0, 4_000_000)]), "longer than 3 hours"),
        (song([(0, 1, 60, 80, 0), (200_000, 1, 60, 80, 0)], tempi=[(0, 1)], ticks_per_beat=24), "longer than"),
        (song(scale(2), tempi=[(t / 100, 500_000) for t in range(10_002)]), "changes of tempo"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read_midi(data)


def test_damage_of_any_byte_is_told_or_harmless() -> None:
    data = song([*scale(40), *scale(20, channel=9)], [(0, 6, 8)], programs={0: 5})
    rng = np.random.default_rng(1)
    for _ in range(400):
        bad = bytearray(data)
        for at in rng.integers(4, len(data), rng.integers(1, 6)):
            bad[at] = rng.integers(256)
        try:
            reading = read_midi(bytes(bad))
        except UnusableError:
            continue
        assert len(reading.ticks) and reading.ticks.min() >= 0 and reading.length.min() >= 1
        assert reading.pitch.min() >= 0 and reading.pitch.max() <= 127
        assert reading.velocity.min() >= 1 and reading.velocity.max() <= 127
