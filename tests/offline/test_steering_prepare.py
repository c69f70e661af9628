"""Concept sets: what is rendered sounds as labelled, the split does not leak, and a second run does nothing."""

from __future__ import annotations

import functools
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra train")
pytest.importorskip("scipy", reason="needs the extra train")

from bridge.cli import main
from engines.errors import SidemanError
from offline.data import fluidsynth
from offline.data.fluidsynth import SoundFont, Sounding, Voice, find_font, library, resample, sixteen_bits
from offline.steering import recipe
from offline.steering.choose import choose
from offline.steering.index import read_index
from offline.steering.recipe import MODES, PROGRESSIONS, SETS, Clip, starts_s, track_of
from offline.steering.split import OCTAVE, PROGRAMS


@functools.cache
def clips(name: str) -> tuple[Clip, ...]:
    """Every clip of a set, made once for all tests."""
    return tuple(recipe.clips(name))


@pytest.fixture
def font() -> Path:
    """A sound font; skips where there is none, or no FluidSynth."""
    try:
        library()
        return find_font(None)
    except SidemanError as error:
        pytest.skip(str(error))


def prepare(folder: Path, *words: str) -> int:
    return main(["prepare", "steering", "-o", str(folder), "--workers", "0", "--quiet", *words])


def loudest_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(spectrum.argmax() * rate_hz / (1 << 18))


def test_the_grids_have_the_sizes_of_the_recipe() -> None:
    counts = {name: len(clips(name)) for name in SETS}
    assert counts == {
        "notes": 4_416,  # of 108 x 92 those whose program and octave are of one split
        "intervals": 39_744, "chords": 13_248, "scales": 15_456, "progressions": 20_976, "tempos": 4_025,
        "signatures": 1_200,
    }  # fmt: skip
    assert len(PROGRAMS) == 92
    assert Counter(mode for mode, _ in PROGRESSIONS) == {"ionian": 10, "aeolian": 9}


@pytest.mark.parametrize("name", SETS[:5])
def test_no_program_and_no_register_of_a_held_out_clip_is_heard_in_training(name: str) -> None:
    programs: dict[str, set[int]] = {}
    registers: dict[str, set[int]] = {}
    for clip in clips(name):
        lowest = min(note.pitch for note in track_of(clip)[1])
        assert lowest // 12 == clip.register
        programs.setdefault(clip.split, set()).add(clip.program)
        registers.setdefault(clip.split, set()).add(lowest // 12)
    assert set(programs) == {"train", "validation", "test"}
    for parts in (programs, registers):
        assert not parts["train"] & (parts["validation"] | parts["test"])
        assert not parts["validation"] & parts["test"]


@pytest.mark.parametrize("name", SETS[5:])
def test_no_click_is_in_two_splits(name: str) -> None:
    splits: dict[str, set[str]] = {}
    for clip in clips(name):
        splits.setdefault(str(clip.click).partition("_")[0], set()).add(clip.split)
        assert 0.0 <= starts_s(clip) <= clip.track_s - 4.0
    assert all(len(found) == 1 for found in splits.values())


def test_a_choice_is_balanced_and_a_larger_one_holds_it() -> None:
    few, more = choose(clips("chords"), 40), choose(clips("chords"), 80)
    assert {clip.name for clip in few} < {clip.name for clip in more}
    assert Counter(clip.split for clip in few) == {"train": 24, "validation": 8, "test": 8}
    assert Counter(clip.label for clip in few if clip.split == "train") == dict.fromkeys(
        ("maj", "min", "aug", "dim"), 6
    )


def test_concepts_are_played_as_they_are_labelled() -> None:
    for clip in clips("scales"):
        steps = [note.pitch - 12 * clip.register - (clip.root or 0) for note in track_of(clip)[1]]
        wanted = [*MODES[clip.mode or ""], 12]
        assert steps == (wanted if clip.motion == "up" else wanted[::-1])
    chords = {clip.name: sorted({note.pitch for note in track_of(clip)[1]}) for clip in clips("chords")}
    root = 12 * OCTAVE["train"]
    train = next(clip.program for clip in clips("chords") if clip.split == "train")
    assert chords[f"00-min-0-{train:03d}"] == [root, root + 3, root + 7]
    assert chords[f"00-min-1-{train:03d}"] == [root + 3, root + 7, root + 12]
    assert chords[f"09-maj-2-{train:03d}"] == [root + 4, root + 9, root + 13]  # E A C#, not above the octave
    progression = next(clip for clip in clips("progressions") if clip.progression == "ionian 1-4-5-1")
    classes = [note.pitch % 12 for note in track_of(progression)[1]]
    assert classes == [0, 4, 7, 5, 9, 0, 7, 11, 2, 0, 4, 7]


@pytest.mark.parametrize("pitch", [40, 60, 81])
def test_a_rendered_note_has_its_pitch(font: Path, pitch: int) -> None:
    with SoundFont(font) as open_font:
        samples = open_font.render([Voice(0, 73)], [Sounding(0.0, 1.0, 0, pitch, 64)], 1.0)
    assert samples.shape == (fluidsynth.RATE_HZ,)
    found = loudest_hz(resample(samples, 16_000), 16_000)
    wanted = 440.0 * 2 ** ((pitch - 69) / 12)
    octaves = np.log2(found / wanted)  # the flute's second partial may be its loudest
    assert abs(octaves - round(octaves)) * 1200 < 20
    assert 0 <= round(octaves) <= 1


def test_a_render_does_not_depend_on_what_was_rendered_before(font: Path) -> None:
    notes = [Sounding(0.0, 0.5, 0, 60, 64)]
    with SoundFont(font) as open_font:
        first = open_font.render([Voice(0, 48)], notes, 0.5)
        open_font.render([Voice(0, 88, reverb=127)], notes, 0.5)
        again = open_font.render([Voice(0, 48)], notes, 0.5)
    np.testing.assert_array_equal(first, again)


def test_clips_repeat_byte_by_byte_and_a_second_run_makes_none(
    font: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del font
    for folder in ("one", "two"):
        assert prepare(tmp_path / folder, "--sets", "notes", "tempos", "--size", "5") == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) >= 12
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.wav")}
    index = (tmp_path / "one" / "index.parquet").read_bytes()
    capsys.readouterr()
    assert prepare(tmp_path / "one", "--sets", "notes", "tempos", "--size", "5") == 0
    assert "0 new" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.wav")}
    assert (tmp_path / "one" / "index.parquet").read_bytes() == index
    rows = read_index(tmp_path / "one")
    import soundfile

    for row in rows:
        info = soundfile.info(tmp_path / "one" / row.path)
        assert (info.samplerate, info.channels, info.subtype) == (32_000, 1, "PCM_16")
        assert info.frames == row.seconds * row.rate_hz == 128_000
        assert (row.pitch is None) == (row.set == "tempos") == (row.bpm is not None)


def test_a_run_that_was_cut_off_makes_only_what_is_missing(
    font: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del font
    assert prepare(tmp_path, "--sets", "chords", "--size", "5", "--rate", "8000") == 0
    gone = sorted(tmp_path.rglob("*.wav"))[2]
    kept = gone.read_bytes()
    gone.unlink()
    capsys.readouterr()
    assert prepare(tmp_path, "--sets", "chords", "--size", "5", "--rate", "8000") == 0
    assert "1 new, 4 there before" in capsys.readouterr().out
    assert gone.read_bytes() == kept
    assert prepare(tmp_path, "--sets", "chords", "--size", "5", "--rate", "16000") == 2
    assert "begun with another rate" in capsys.readouterr().err


def test_what_no_font_plays_is_left_out_and_counted(
    font: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del font
    monkeypatch.setattr("offline.steering.synthesise.QUIET", 2.0)
    assert prepare(tmp_path, "--sets", "notes", "--size", "5") == 0
    assert "0 new, 0 there before, 5 silent and left out" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.wav"))
    assert read_index(tmp_path) == []


def test_loud_sound_is_made_quieter_not_cut() -> None:
    loud = np.array([0.5, -2.0, 1.0], np.float32)
    np.testing.assert_array_equal(sixteen_bits(loud), [8192, -32767, 16384])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sets", "note"], "there is no 'note'"),
        (["--font", "nowhere.sf2"], "there is no sound font nowhere.sf2"),
        (["--size", "-1"], "--size -1"),
        (["--rate", "10"], "--rate 10"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "--font" in words:
        pytest.importorskip("fluidsynth", reason="FluidSynth is not installed", exc_type=ImportError)
    assert prepare(tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_machine_without_fluidsynth_or_font_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fluidsynth, "FONTS", ())
    with pytest.raises(SidemanError, match="timgm6mb-soundfont"):
        find_font(None)
    import sys

    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(SidemanError, match="pip install"):
        library()


def hub_copy(folder: Path) -> None:
    """A copy of meganwei/syntheory with a few rows of two sets, as the hub lays it out."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import soundfile

    def sound(hz: float) -> dict[str, object]:
        file = io.BytesIO()
        wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(44_100) / 44_100)
        soundfile.write(file, np.stack([wave, wave], 1), 44_100, format="WAV", subtype="FLOAT")
        return {"bytes": file.getvalue(), "path": None}

    train, test = (next(clip.program for clip in clips("chords") if clip.split == split) for split in ("train", "test"))
    notes = [(60, train), (61, train), (72, test), (60, test)]  # the last is in a register of training
    rows = [
        {"audio": sound(440 * 2 ** ((pitch - 69) / 12)), "root_note_pitch_class": pitch % 12,
         "midi_note_val": pitch, "midi_program_num": program, "octave": pitch // 12, "register": 1}
        for pitch, program in notes
    ]  # fmt: skip
    (folder / "notes").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows[:3]), folder / "notes" / "train-00000-of-00002.parquet")
    pq.write_table(pa.Table.from_pylist(rows[3:]), folder / "notes" / "train-00001-of-00002.parquet")
    progressions = [
        {"audio": sound(300), "key_note_name": "D", "key_note_pitch_class": 2, "midi_program_num": train,
         "chord_progression": "aeolian-(1, 6, 3, 7)"},
    ]  # fmt: skip
    (folder / "simple_progressions").mkdir()
    pq.write_table(pa.Table.from_pylist(progressions), folder / "simple_progressions" / "train-00000-of-00001.parquet")


def test_the_published_set_is_read_into_the_same_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub_copy(tmp_path / "hub")
    words = [str(tmp_path / "hub"), "--sets", "notes", "progressions"]
    assert prepare(tmp_path / "out", *words) == 0
    rows = read_index(tmp_path / "out")
    assert [(row.set, row.split, row.pitch, row.root, row.progression) for row in rows] == [
        ("notes", "train", 60, None, None), ("notes", "train", 61, None, None), ("notes", "test", 72, None, None),
        ("progressions", "train", None, 2, "aeolian 1-6-3-7"),
    ]  # fmt: skip
    import soundfile

    samples, rate_hz = soundfile.read(tmp_path / "out" / rows[0].path)
    assert (rate_hz, samples.shape) == (32_000, (32_000,))
    assert loudest_hz(samples, rate_hz) == pytest.approx(261.63, abs=0.5)
    capsys.readouterr()
    assert prepare(tmp_path / "out", *words) == 0
    assert "0 new, 4 there before" in capsys.readouterr().out
    assert prepare(tmp_path / "out", *words, "--rate", "16000") == 2
    assert "begun with another rate" in capsys.readouterr().err
    assert prepare(tmp_path / "out", str(tmp_path / "hub"), "--sets", "scales") == 2
    assert "has no .parquet file" in capsys.readouterr().err


def test_the_unseen_font_plays_test_clips_alone(font: Path, tmp_path: Path) -> None:
    import shutil

    other = shutil.copy(font, tmp_path / "other.sf2")
    words = ["--sets", "chords", "--size", "10", "--rate", "8000", "--unseen-font", str(other)]
    assert prepare(tmp_path / "out", *words) == 0
    rows = read_index(tmp_path / "out")
    splits = {name: Counter(row.split for row in rows if row.font == name) for name in (font.name, "other.sf2")}
    assert splits == {font.name: {"train": 6, "validation": 2, "test": 2}, "other.sf2": {"test": 2}}
