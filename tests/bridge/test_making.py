"""Going on from a MIDI file and making bars of it anew, with the shipped bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mido
import pytest

from bridge.cli import main
from bridge.commands.making import parse_bars
from bridge.files.midiread import read_midi
from bridge.files.song import SongBar, write_song
from engines.errors import SidemanError
from engines.music import STEP_TICKS, Meter, Note, Phrase
from engines.notes.roles import CHANNELS, ROLE_NAMED, ROLES

WALTZ = Meter(3, 4)
DRUMS, BASS, PIANO, STRINGS = (ROLE_NAMED[name] + 1 for name in ("drums", "bass", "piano", "strings"))


def waltz(bars: int) -> list[SongBar]:
    """Bass on one, a chord on two and three, a tune that no bar has twice, a kick."""
    return [
        SongBar(
            WALTZ,
            132.0,
            Phrase.of(
                WALTZ.bar_ticks,
                [
                    Note(0, 43, 90, 900, BASS),
                    Note(0, 36, 100, 120, DRUMS),
                    *(Note(beat * 960, pitch, 70, 480, PIANO) for beat in (1, 2) for pitch in (59, 62, 67)),
                    Note(480, 71 + i, 80, 1440, STRINGS),
                ],
            ),
        )
        for i in range(bars)
    ]


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    path = tmp_path / "waltz.mid"
    write_song(path, waltz(3))
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., list[SongBar]]:
    """Runs the command with a bundle and further arguments; what it wrote, as read again."""

    def run(bundle: str, *arguments: str) -> list[SongBar]:
        path = tmp_path / "made.mid"
        assert main(["generate", bundle, "-o", str(path), "--seed", "3", *arguments]) == 0
        return read_midi(path, drums_only=bundle != "notes")

    return run


def test_a_song_of_parts_is_read_as_it_was_written(prompt: Path) -> None:
    assert [(bar.meter, round(bar.tempo_bpm, 2), bar.phrase) for bar in read_midi(prompt, drums_only=False)] == [
        (bar.meter, bar.tempo_bpm, bar.phrase) for bar in waltz(3)
    ]


def test_the_drums_alone_are_read_without_parts(prompt: Path) -> None:
    assert [bar.phrase.notes for bar in read_midi(prompt)] == [(Note(0, 36, 100, STEP_TICKS // 2),)] * 3


def test_a_part_is_its_channels_program_at_that_moment_and_what_nobody_ends_is_a_sixteenth(tmp_path: Path) -> None:
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    track += [
        mido.Message("note_on", channel=3, note=60, velocity=50),
        mido.Message("note_on", channel=3, note=60, velocity=0, time=240),
        mido.Message("program_change", channel=3, program=42),
        mido.Message("note_on", channel=3, note=62, velocity=50),
    ]
    file.tracks.append(track)
    file.save(tmp_path / "x.mid")
    (bar,) = read_midi(tmp_path / "x.mid", drums_only=False)
    assert bar.phrase.notes == (Note(0, 60, 50, 480, PIANO), Note(480, 62, 50, STEP_TICKS, STRINGS))


def test_it_goes_on_after_the_prompt_in_its_metre_and_tempo(make: Callable[..., list[SongBar]], prompt: Path) -> None:
    song = make("notes", "--prompt", str(prompt), "--bars", "2", "--genre", "classical")
    assert [bar.phrase for bar in song[:3]] == [bar.phrase for bar in waltz(3)]
    assert {(bar.meter, round(bar.tempo_bpm, 2)) for bar in song} == {(WALTZ, 132.0)}
    assert len(song) <= 5 and any(bar.phrase.notes for bar in song[3:])


def test_what_comes_after_a_prompt_hears_it(make: Callable[..., list[SongBar]], prompt: Path) -> None:
    with_it = make("notes", "--prompt", str(prompt), "--bars", "2", "--new-only")
    without = make("notes", "--bars", "2", "--meter", "3/4", "--bpm", "132")
    assert [bar.phrase for bar in with_it] != [bar.phrase for bar in without]


def test_drums_go_on_from_a_files_drums(make: Callable[..., list[SongBar]], prompt: Path) -> None:
    song = make("groove", "--prompt", str(prompt), "--bars", "2")
    assert [bar.phrase.notes for bar in song[:3]] == [(Note(0, 36, 100, STEP_TICKS // 2),)] * 3
    assert sum(len(bar.phrase.notes) for bar in song[3:]) > 2


@pytest.mark.parametrize("bundle", ["notes", "groove"])
def test_a_bar_is_made_anew_and_its_neighbours_stay(
    bundle: str, make: Callable[..., list[SongBar]], prompt: Path
) -> None:
    song, old = make(bundle, "--prompt", str(prompt), "--infill", "2"), read_midi(prompt, drums_only=bundle != "notes")
    assert len(song) == 3
    assert song[1].phrase != old[1].phrase
    assert (song[0].phrase.notes, song[2].phrase.notes) == (old[0].phrase.notes, old[2].phrase.notes)


def test_it_ends_with_so_many_notes_each_part_on_its_channel(
    make: Callable[..., list[SongBar]], tmp_path: Path
) -> None:
    song = make("notes", "--max-notes", "20", "--bars", "64")
    assert sum(len(bar.phrase.notes) for bar in song) == 20
    for track in mido.MidiFile(tmp_path / "made.mid").tracks[1:]:
        programs = {message.channel + 1: message.program for message in track if message.type == "program_change"}
        for channel in {message.channel + 1 for message in track if message.type == "note_on"}:
            assert programs[channel] == ROLES[CHANNELS.index(channel)].program


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--infill", "2"], "give it with --prompt FILE.mid"),
        (["--prompt", "PROMPT", "--infill", "4"], "bar 4 cannot be made anew: the file has 3 bars"),
        (["--prompt", "PROMPT", "--infill", "2-1"], "'2-1' names no bars"),
        (["--prompt", "PROMPT", "--infill", "2", "--bars", "1"], "leave --bars out"),
        (["--prompt", "PROMPT", "--infill", "2", "--max-notes", "9"], "leave --max-notes out"),
        (["--prompt", "none.mid"], "none.mid"),
        (["--prompt", __file__], "is no MIDI file"),
        (["--max-notes", "-1"], "--max-notes takes a number, or 0, not -1"),
        (["--genre", "jaz"], "did you mean jazz?"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], says: str, prompt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mid"
    given = [str(prompt) if argument == "PROMPT" else argument for argument in arguments]
    assert main(["generate", "notes", "-o", str(out), *given]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not out.exists()


def test_drums_cannot_go_on_from_a_file_that_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bass.mid"
    write_song(path, [SongBar(Meter(), 120.0, Phrase.of(3840, [Note(0, 40, 90, 480, BASS)]))])
    assert main(["generate", "groove", "--prompt", str(path), "-o", str(tmp_path / "x.mid")]) == 2
    assert "has no drums on MIDI channel 10" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "bars"), [("5", range(4, 5)), ("5-6", range(4, 6)), (" 1-3 ", range(3))])
def test_bars_are_counted_from_one(text: str, bars: range) -> None:
    assert parse_bars(text) == bars


@pytest.mark.parametrize("text", ["", "0", "-2", "3-", "4-3", "a", "1-b", "²"])
def test_what_names_no_bars(text: str) -> None:
    with pytest.raises(SidemanError, match="names no bars"):
        parse_bars(text)
