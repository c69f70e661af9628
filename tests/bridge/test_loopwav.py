"""A loop's file: whole or not there, never written over, with the chunks that hosts read."""

import struct

import numpy as np
import pytest
import soundfile

from bridge.files.loopwav import LoopFolder, SessionLoops, write_loop
from engines.audio import Loop, frames_in
from engines.audiofile import open_audio
from engines.music import LoopFile, Meter


def loop(ticks=3840, tempo_bpm=97.3, rate=48_000, channels=2):
    frames = np.random.default_rng(1).uniform(-1, 1, (frames_in(ticks, tempo_bpm, rate), channels))
    return Loop(frames.astype(np.float32), rate, ticks)


def chunks(data):
    """Name to content of a RIFF file's chunks."""
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        length = struct.unpack("<I", data[at + 4 : at + 8])[0]
        found[data[at : at + 4]] = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    assert at == len(data)
    return found


def test_a_file_is_named_after_its_player_number_tempo_and_bars(tmp_path):
    folder = LoopFolder(tmp_path / "keys")
    made = loop()
    file = folder.write(made, 97_300, Meter())
    path = tmp_path / "keys" / "keys_0001_97.3bpm_1bar.wav"
    assert file == LoopFile(str(path), 48_000, len(made.frames), 2, 3840, 97_300)
    frames, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000 and np.array_equal(frames, made.frames)
    assert folder.write(loop(7680, 120.0), 120_000, Meter()).path.endswith("keys_0002_120bpm_2bars.wav")
    assert folder.write(loop(1920, 120.0), 120_000, Meter()).path.endswith("keys_0003_120bpm_0.5bars.wav")


def test_tempo_metre_and_loop_points_are_in_the_chunks(tmp_path):
    write_loop(tmp_path / "x.wav", loop(3360, 140.0, 44_100, 1), 140_000, Meter(7, 8))
    found = chunks((tmp_path / "x.wav").read_bytes())
    assert list(found) == [b"fmt ", b"fact", b"acid", b"smpl", b"data"]
    flags, _, _, _, beats, denominator, numerator, tempo = struct.unpack("<IHHfIHHf", found[b"acid"])
    assert (flags, beats, denominator, numerator, tempo) == (4, 4, 8, 7, 140.0)
    smpl = struct.unpack("<15I", found[b"smpl"])
    assert smpl[7] == 1 and smpl[10:13] == (0, 0, 66_149)
    assert struct.unpack("<I", found[b"fact"]) == (66_150,)


def test_the_acid_chunk_alone_tells_loopfile_the_tempo(tmp_path):
    write_loop(tmp_path / "x.wav", loop(3840, 97.3), 97_300, Meter())
    assert open_audio(tmp_path / "x.wav").span() == (97.3, 3840)


def test_another_worker_goes_on_counting_and_nothing_is_written_over(tmp_path):
    LoopFolder(tmp_path).write(loop(), 97_300, Meter())
    first = next(tmp_path.iterdir())
    before = first.read_bytes()
    second = LoopFolder(tmp_path).write(loop(), 97_300, Meter())
    assert "_0002_" in second.path
    assert first.read_bytes() == before


def test_two_sessions_in_one_folder_write_over_nothing(tmp_path):
    first, second = LoopFolder(tmp_path / "keys"), LoopFolder(tmp_path / "keys")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / ".0004.part").touch()  # a third is writing it
    small = loop(240, 300.0, 8_000, 1)
    paths = [folder.write(small, 300_000, Meter()).path for folder in (first, second) * 3]
    assert [path.split("_")[-3] for path in paths] == ["0001", "0002", "0003", "0005", "0006", "0007"]
    assert len(list((tmp_path / "keys").glob("*.wav"))) == 6


def test_the_oldest_go_when_there_are_too_many(tmp_path):
    small = loop(240, 300.0, 8_000, 1)
    young = LoopFolder(tmp_path, kept=3)
    for _ in range(12):
        young.write(small, 300_000, Meter())
    assert len(list(tmp_path.iterdir())) == 12, "they may still be wanted"
    LoopFolder(tmp_path, kept=3, young_s=0.0).write(small, 300_000, Meter())
    assert sorted(path.name.split("_")[-3] for path in tmp_path.iterdir()) == ["0011", "0012", "0013"]


def test_a_full_disk_leaves_no_half_file(full_disk):
    folder = LoopFolder(full_disk / "keys")
    with pytest.raises(OSError, match="No space left"):
        folder.write(loop(), 97_300, Meter())
    assert not list((full_disk / "keys").iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        LoopFolder(tmp_path / "file" / "keys").write(loop(), 97_300, Meter())


def test_a_temporary_folder_goes_with_the_session_a_named_one_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = SessionLoops("")
    assert session.kept > 0
    assert not list(tmp_path.iterdir())
    LoopFolder(tmp_path / session.folder("keys"), session.kept).write(loop(), 97_300, Meter())
    session.close()
    session.close()
    assert not list(tmp_path.iterdir())
    named = SessionLoops(str(tmp_path / "mine"))
    assert named.kept == 0
    LoopFolder(tmp_path / named.folder("keys")).write(loop(), 97_300, Meter())
    named.close()
    assert [path.name for path in (tmp_path / "mine" / "keys").iterdir()] == ["keys_0001_97.3bpm_1bar.wav"]
