from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
import pytest

from offline.notes.byear import main

pytest.importorskip("symusic", reason="needs the extra train")


def tune(path: Path, seed: int, late: float) -> None:
    """A bass note a bar, chords on its beats, a tune on top: in 4/4, beginning so many beats after the first tick."""
    rng = np.random.default_rng(seed)
    events: list[tuple[float, int, int]] = []
    for bar in range(24):
        root = int(rng.choice([0, 5, 7, 9]))
        notes = [(0.0, 36 + root, 4.0), *((float(beat), 64 + root, 1.0) for beat in range(4))]
        notes += [(step / 4, 72 + root + int(rng.integers(5)), 0.25) for step in range(16) if rng.random() < 0.4]
        events += [(4 * bar + late + at, 1, pitch) for at, pitch, _ in notes]
        events += [(4 * bar + late + at + length, 0, pitch) for at, pitch, length in notes]
    track, now = mido.MidiTrack(), 0
    track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    for at, on, pitch in sorted(events):
        tick = round(at * 480)
        track.append(mido.Message("note_on", note=pitch, velocity=70 * on, time=tick - now))
        now = tick
    file, data = mido.MidiFile(ticks_per_beat=480), io.BytesIO()
    file.tracks.append(track)
    file.save(file=data)
    path.write_bytes(data.getvalue())


def test_a_table_of_what_files_are_taken_for_and_how_often_bars_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["path,source"]
    for number in range(4):
        tune(tmp_path / f"{number}.mid", number, 0.0 if number < 3 else 1.4)
        rows.append(f"{number}.mid,{'scores' if number < 3 else 'recordings'}")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    rows += ["broken.mid,scores", "missing.mid,scores"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    assert main([str(tmp_path)]) == 0
    _, _, *table = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in table]
    assert cells[0][:7] == ["recordings", "1", "0", "0", "1", "0", "0.00"] and float(cells[0][7]) == 1.0
    assert cells[1][:7] == ["scores", "3", "3", "0", "0", "0", "1.00"]
    assert cells[1][8:] == ["3", "1.00", "1.00", "1.00"]


def test_a_source_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
