"""Audio with prompts: songs, concepts and files become shards whose words are true, split by song."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("symusic", reason="needs the extra train")
pytest.importorskip("soundfile", reason="needs the extra train")
pytest.importorskip("pyarrow", reason="needs the extra train")

from symusic import Note, Score, Tempo, Track

from bridge.cli import main
from engines.errors import SidemanError
from offline.data.fluidsynth import find_font, library
from offline.musicgen.index import Clip, read_frames, read_index, write_index, write_shard
from offline.musicgen.prompts import concept_prompt, instruments_of, key_of, on_grid, prompt_of
from offline.steering.index import Row
from offline.steering.index import read_index as read_concepts
from offline.steering.index import write_index as write_concepts
from offline.steering.synthesise import write_wav

RATE_HZ = 16_000


@pytest.fixture
def font() -> Path:
    """A sound font; skips where there is none, or no FluidSynth."""
    try:
        library()
        return find_font(None)
    except SidemanError as error:
        pytest.skip(str(error))


def song(root: int, bpm: float, program: int = 0, beats: int = 40) -> bytes:
    """A scale up and down in eighths over a held tonic chord, in a major key."""
    score = Score(480)
    score.tempos.append(Tempo(0, bpm))
    melody, chords = Track(program=program), Track(program=40)
    steps = (0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5, 4, 2)
    for i in range(beats * 2):
        melody.notes.append(Note(i * 240, 240, 60 + root + steps[i % len(steps)], 80))
    for beat in range(0, beats, 4):
        for step in (0, 4, 7):
            chords.notes.append(Note(beat * 480, 1920, 48 + root + step, 70))
    score.tracks.extend([melody, chords])
    data: bytes = score.dumps_midi()
    return data


def songs(folder: Path) -> Path:
    """Six songs of three groups, and one of a non-commercial licence."""
    folder.mkdir()
    rows = []
    for i in range(6):
        (folder / f"{i}.mid").write_bytes(song(i, 100 + i))
        rows.append({"path": f"{i}.mid", "genre": "jazz", "group": f"tune {i // 2}", "licence": "MIT", "nc": "false"})
    (folder / "nc.mid").write_bytes(song(0, 90))
    rows.append({"path": "nc.mid", "genre": "pop", "group": "nc", "licence": "CC-BY-NC-4.0", "nc": "true"})
    (folder / "broken.mid").write_bytes(b"MThd and no more")
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def concepts(folder: Path) -> Path:
    folder.mkdir()
    wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000)).astype(np.float32)
    write_wav(folder / "a.wav", wave, 32_000)
    write_concepts(folder, [
        Row("a.wav", "notes", "train", "f.sf2", 0, 5, 32_000, 1.0, pitch=69, note=9),
        Row("a.wav", "notes", "test", "f.sf2", 0, 0, 32_000, 1.0, pitch=9, note=9),
        Row("a.wav", "chords", "test", "f.sf2", 16, 5, 32_000, 1.0, root=0, chord="min", inversion=1),
    ])  # fmt: skip
    return folder


def prepare(folder: Path, *words: str) -> int:
    return main(["prepare", "musicgen", "-o", str(folder), "--workers", "0", "--quiet", *words])


def test_songs_concepts_and_files_become_clips_with_true_words(
    font: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del font
    source, known = songs(tmp_path / "songs"), concepts(tmp_path / "known")
    loops = tmp_path / "loops" / "drum_loop"
    loops.mkdir(parents=True)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 5 * 44_100).astype(np.float32)
    write_wav(loops / "beat.wav", noise, 44_100)
    (tmp_path / "loops" / "labels.csv").write_text("path,style,bpm,licence\ndrum_loop/beat.wav,funk,96,CC0-1.0\n")
    words = ["--midi", str(source), "--concepts", str(known), "--audio", str(tmp_path / "loops"), "--seconds", "3"]
    assert prepare(tmp_path / "out", *words, "--per-song", "2") == 0
    report = capsys.readouterr().out
    assert "1 files left out: 1 cut short or damaged" in report
    clips = read_index(tmp_path / "out")
    made = [clip for clip in clips if clip.source == "midi"]
    assert len(made) == 12
    assert {clip.origin for clip in made} == {f"{i}.mid" for i in range(6)}
    for clip in made:
        number = int(clip.origin[0])
        key = ("C", "C#", "D", "D#", "E", "F")[number]
        assert clip.prompt == f"jazz, piano and strings, {100 + number} bpm, {key} major"
        assert (clip.licence, clip.seconds, clip.rate_hz) == ("MIT", 3.0, RATE_HZ)
        frames = read_frames(tmp_path / "out", clip)
        assert frames.shape == (3 * RATE_HZ,)
        assert np.sqrt(np.mean(frames**2)) == pytest.approx(0.1, abs=0.02)
    sides: dict[str, set[str]] = {}
    for clip in made:
        sides.setdefault(clip.group, set()).add(clip.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {clip.split for clip in made} == {"train", "validation"}
    others = [(clip.source, clip.split, clip.prompt, clip.seconds) for clip in clips if clip.source != "midi"]
    assert others == [
        ("audio", "train", "drum loop, funk, 96 bpm", 3.0), ("audio", "train", "drum loop, funk, 96 bpm", 2.0),
        ("concepts", "train", "an A4 piano note", 1.0),
        ("concepts", "test", "a C minor organ chord, first inversion", 1.0),
    ]  # fmt: skip


def test_a_second_run_makes_nothing_and_other_bytes_make_their_shard_anew(
    font: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del font
    source = songs(tmp_path / "songs")
    words = ["--midi", str(source), "--seconds", "2", "--per-song", "1"]
    assert prepare(tmp_path / "out", *words) == 0
    assert prepare(tmp_path / "again", *words) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    capsys.readouterr()
    assert prepare(tmp_path / "out", *words) == 0
    assert "6 clips, 6 of them there before" in capsys.readouterr().out
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    (source / "0.mid").write_bytes(song(3, 140))
    assert prepare(tmp_path / "out", *words) == 0
    assert "6 clips, 0 of them there before" in capsys.readouterr().out
    assert read_index(tmp_path / "out")[0].prompt == "jazz, piano and strings, 140 bpm, D# major"
    assert prepare(tmp_path / "out", *words, "--rate", "8000") == 2
    assert "begun with other settings" in capsys.readouterr().err


def test_a_concept_whose_sound_is_damaged_is_left_out_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = concepts(tmp_path / "known")
    rows = read_concepts(known)
    (known / "torn.wav").write_bytes((known / "a.wav").read_bytes()[:20])
    write_concepts(known, [rows[0], replace(rows[0], path="torn.wav"), replace(rows[0], path="gone.wav")])
    assert prepare(tmp_path / "out", "--concepts", str(known)) == 0
    assert "2 files left out: " in capsys.readouterr().out
    assert [clip.origin for clip in read_index(tmp_path / "out")] == ["a.wav"]


def test_any_stretch_of_a_shard_is_read_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.integers(-20_000, 20_000, 30_000 + 7_000 * i).astype(np.int16) for i in range(5)]
    write_shard(tmp_path / "a.flac", parts, RATE_HZ)
    at = 0
    for part in parts:
        clip = Clip("a.flac", at, len(part), RATE_HZ, "train", "audio", "", "", "", "")
        np.testing.assert_array_equal(read_frames(tmp_path, clip) * 32768, part)
        np.testing.assert_array_equal(read_frames(tmp_path, clip, 11_111, 999) * 32768, part[11_111:12_110])
        beyond = read_frames(tmp_path, clip, len(part) - 5, 10)
        np.testing.assert_array_equal(beyond * 32768, [*part[-5:], 0, 0, 0, 0, 0])
        at += len(part)
    with pytest.raises(SidemanError, match="shorter"):
        read_frames(tmp_path, Clip("a.flac", at - 5, 10, RATE_HZ, "train", "audio", "", "", "", ""))


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path, [Clip("../a.flac", 0, 10, RATE_HZ, "train", "audio", "", "", "", "")])
    with pytest.raises(SidemanError, match="leads out"):
        read_index(tmp_path)
    with pytest.raises(SidemanError, match="sideman prepare musicgen"):
        read_index(tmp_path / "nowhere")


def test_words_are_only_said_of_what_is_heard() -> None:
    assert prompt_of("funk_soul", ["guitar", "drums", "bass"], 96.4, "") == "funk soul, guitar, drums and bass, 96 bpm"
    assert prompt_of("", ["piano"], None, "A minor") == "piano, A minor"
    program = np.array([0] * 60 + [33] * 38 + [56] * 2)
    assert instruments_of(program, np.zeros(100, bool)) == ["piano", "bass"]  # two notes of brass go unnamed
    minor = np.array([57, 59, 60, 62, 64, 65, 68, 69, 57, 60, 64])
    assert key_of(minor, np.ones(len(minor)) + np.isin(minor % 12, (9, 0, 4))) == "A minor"
    assert key_of(np.arange(60, 72), np.ones(12)) == ""
    steps = np.arange(0, 9600, 240)
    assert on_grid(steps, 240)
    assert not on_grid(np.random.default_rng(0).integers(0, 9600, 60), 240)


def test_prompts_of_concepts() -> None:
    def row(name: str, **labels: object) -> Row:
        return Row("a.wav", name, "train", "", -1 if name in ("tempos", "signatures") else 48, 5, 32_000, 4.0, **labels)  # type: ignore[arg-type]

    assert [concept_prompt(found) for found in (
        row("notes", pitch=60, note=0), row("intervals", root=2, interval=7, motion="up"),
        row("scales", root=9, mode="aeolian", motion="down"), row("progressions", root=0, mode="ionian",
            progression="ionian 1-4-5-1"), row("tempos", bpm=120.0), row("signatures", signature="3/4"),
    )] == [
        "a C4 string ensemble note", "a perfect fifth up on D, string ensemble",
        "an A minor scale down, string ensemble",
        "chords I-IV-V-I in C major, string ensemble", "120 bpm clicks", "clicks in 3/4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "give something to prepare"), (["--midi", "nowhere"], "nowhere does not exist"), (["--concepts", "nowhere"],
     "has no index.parquet"), (["--audio", ".", "--seconds", "0.1"], "--seconds 0.1")],
)  # fmt: skip
def test_mistakes_are_one_line_of_prepare_musicgen(
    font: Path, words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del font
    assert prepare(tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
