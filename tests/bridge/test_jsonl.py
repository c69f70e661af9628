"""Bars as lines of JSON, and drum bars out of MIDI files: what is read, and one line for each thing that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import pytest

from bridge.cli import main
from bridge.files.jsonl import read_lines, write_lines
from bridge.files.midiread import read_midi
from bridge.files.song import SongBar
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase


def line(**fields: object) -> str:
    return json.dumps(fields) + "\n"


KICK_AND_SNARE = [1, 0, 0, 0, 2, 0, 0, 0] * 2


def test_masks_alone_are_plain_hits(tmp_path: Path) -> None:
    file = tmp_path / "bars.jsonl"
    file.write_text(line(masks=KICK_AND_SNARE) + "\n" + line(masks=[3] + [0] * 13, meter="7/8", bpm=90))
    first, second = read_lines(file)
    assert (first.meter, first.tempo_bpm, second.meter, second.tempo_bpm) == (Meter(4, 4), 120.0, Meter(7, 8), 90.0)
    assert [(note.tick, note.pitch, note.velocity) for note in first.phrase.notes] == [
        (0, 36, 95), (960, 38, 95), (1920, 36, 95), (2880, 38, 95),
    ]  # fmt: skip
    assert [note.pitch for note in second.phrase.notes] == [36, 38]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    notes = (Note(-30, 36, 100, 120), Note(250, 42, 33, 120), Note(3715, 51, 127, 120))
    song = [SongBar(Meter(4, 4), 97.25, Phrase(3840, notes)), SongBar(Meter(2, 4), 97.25, Phrase(1920))]
    write_lines(tmp_path / "x.jsonl", song)
    assert read_lines(tmp_path / "x.jsonl") == song


def test_the_seed_s_tokens_are_read_with_their_vocabulary(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab_topN.json"
    vocabulary.write_text(json.dumps({"unk_id": 0, "id2bitmask": [None, 0, 1, 258], "cap": 3}))
    file = tmp_path / "samples_bars.jsonl"
    file.write_text(line(tokens=[2, 1, 1, 1, 3, 0] + [1] * 10, bar_idx=0))
    (bar,) = read_lines(file, vocabulary)
    assert [(note.tick // 240, note.pitch) for note in bar.phrase.notes] == [(0, 36), (4, 38), (4, 51)]
    assert main(["midi", str(file), "-o", str(tmp_path / "x.mid"), "--vocab", str(vocabulary), "--bpm", "100",
                 "--velocity", "95", "--note-length", "0.06"]) == 0  # fmt: skip
    assert len([m for m in mido.MidiFile(tmp_path / "x.mid").tracks[1] if m.type == "note_on"]) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no bars"),
        ("{", "line 1"),
        ("[" * 100_000, "line 1"),
        ('"\udcff"', "line 1"),
        (line(masks=KICK_AND_SNARE) + "nonsense", "line 2"),
        (line(masks=[0] * 15), "15 steps where a bar of 4/4 has 16"),
        (line(masks=[512] + [0] * 15), "masks"),
        (line(masks=["kick"] * 16), "masks"),
        (line(masks=[0] * 16, meter="four"), "'four' is not a metre"),
        (line(masks=[0] * 16, bpm=0), "bpm"),
        (line(masks=[0] * 16, velocity=[[1] * 9] * 15), "velocity has 15 steps"),
        (line(masks=[0] * 16, offset=[[1] * 8] * 16), "offset"),
        (line(bar=3), "neither masks nor tokens"),
        (line(tokens=[1] * 16), "--vocab vocab_topN.json"),
    ],
)
def test_a_bad_line_is_named(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "bars.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SidemanError) as caught:
        read_lines(file)
    assert str(file) in str(caught.value) and says in str(caught.value)


def test_numbers_out_of_range_are_limited(tmp_path: Path) -> None:
    file = tmp_path / "bars.jsonl"
    file.write_text(line(masks=[1] + [0] * 15, velocity=[[10**30] * 9] * 16, offset=[[-900] * 9] * 16))
    assert read_lines(file)[0].phrase.notes == (Note(-120, 36, 127, 120),)


def test_a_bad_vocabulary_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bars.jsonl"
    file.write_text(line(tokens=[9] * 16))
    vocabulary = tmp_path / "vocab.json"
    with pytest.raises(SidemanError, match="there is no vocabulary"):
        read_lines(file, vocabulary)
    vocabulary.write_text("[]")
    with pytest.raises(SidemanError, match="is not a vocabulary"):
        read_lines(file, vocabulary)
    vocabulary.write_text('{"id2bitmask": [null, 1]}')
    with pytest.raises(SidemanError, match="a token outside the vocabulary of 2"):
        read_lines(file, vocabulary)


def midi_file(path: Path, *events: tuple[int, mido.Message | mido.MetaMessage], ticks_per_beat: int = 480) -> Path:
    """A file of one track; events are (tick, message)."""
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    track = mido.MidiTrack()
    last = 0
    for tick, message in events:
        track.append(message.copy(time=tick - last))
        last = tick
    file.tracks.append(track)
    file.save(path)
    return path


def hit(pitch: int = 36, velocity: int = 100, channel: int = 9) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def test_midi_is_cut_at_its_own_bar_lines(tmp_path: Path) -> None:
    path = midi_file(
        tmp_path / "x.mid",
        (0, mido.MetaMessage("set_tempo", tempo=400_000)),
        (0, mido.MetaMessage("time_signature", numerator=3, denominator=4)),
        (0, hit(36)),
        (0, hit(60)),  # no drum
        (0, hit(38, channel=0)),  # no drum channel
        (0, hit(38, velocity=0)),  # an end
        (1430, hit(49)),  # ten of 480 early: the next bar's downbeat
        (1440, mido.MetaMessage("time_signature", numerator=2, denominator=4)),
        (1440, mido.MetaMessage("set_tempo", tempo=500_000)),
        (1440 + 960 + 240, hit(42, 50)),
    )
    first, second, third = read_midi(path)
    assert [(bar.meter, bar.tempo_bpm) for bar in (first, second, third)] == [
        (Meter(3, 4), 150.0), (Meter(2, 4), 120.0), (Meter(2, 4), 120.0),
    ]  # fmt: skip
    assert first.phrase.notes == (Note(0, 36, 100, 120),)
    assert second.phrase.notes == (Note(-20, 49, 100, 120),)
    assert third.phrase.notes == (Note(480, 42, 50, 120),)


def whole(tmp_path: Path) -> bytes:
    return midi_file(tmp_path / "whole.mid", (0, hit()), (480, hit())).read_bytes()


def test_midi_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = whole(tmp_path)
    smpte = data[:12] + b"\xe7\x28" + data[14:]
    bad = {
        "empty": b"",
        "truncated": data[:-6],
        "text": b"this is no MIDI file at all, not in the least",
        "smpte": smpte,
        "lying": data[:18] + b"\xff\xff\xff\xff" + data[22:],
        "huge": b"MThd" + b"\0" * (1 << 24),
    }
    for name, content in bad.items():
        path = tmp_path / f"{name}.mid"
        path.write_bytes(content)
        assert main(["midi", str(path), "-o", str(tmp_path / "out.jsonl")]) == 2, name
        said = capsys.readouterr().err
        assert str(path) in said and said.count("\n") == 1, said
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "no drums on MIDI channel 10"),
        ([(0, hit(channel=0))], "no drums on MIDI channel 10"),
        ([(0, mido.MetaMessage("set_tempo", tempo=0)), (0, hit())], "a tempo of zero at beat 0"),
        ([(0, mido.MetaMessage("time_signature", numerator=4, denominator=64)), (0, hit())], "signature of 4/64"),
        ([(0, hit()), (0x0FFFFFFF, hit())], "bars long"),
    ],
)
def test_music_that_cannot_be_bars_is_named(events: list[tuple[int, mido.Message]], says: str, tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match=says):
        read_midi(midi_file(tmp_path / "x.mid", *events, ticks_per_beat=24))


def test_files_that_are_not_there_or_of_no_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["midi", str(tmp_path / "none.mid"), "-o", str(tmp_path / "x.jsonl")]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "bars.txt").write_text("")
    assert main(["midi", str(tmp_path / "bars.txt"), "-o", str(tmp_path / "x.mid")]) == 2
    assert "give a .jsonl or a .mid file" in capsys.readouterr().err
