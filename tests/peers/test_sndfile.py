"""A loop that was written for Live and Max, as libsndfile's own program reads it."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from bridge.files.loopwav import LoopFolder
from engines.audio import Loop, frames_in
from engines.music import Meter

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not shutil.which("sndfile-info"), reason="no sndfile-info here (apt install sndfile-programs)"),
]


@pytest.mark.parametrize(
    ("tempo_bpm", "meter", "bars", "rate"), [(97.3, Meter(), 1, 48_000), (120.0, Meter(3, 4), 4, 44_100)]
)
def test_tempo_and_loop_points_are_read_back(tmp_path, tempo_bpm, meter, bars, rate):
    frames = frames_in(meter.bar_ticks * bars, tempo_bpm, rate)
    loop = Loop(np.full((frames, 2), 0.25, np.float32), rate, meter.bar_ticks * bars)
    file = LoopFolder(tmp_path / "keys").write(loop, round(tempo_bpm * 1000), meter)
    said = subprocess.run(["sndfile-info", file.path], capture_output=True, text=True, check=True).stdout
    assert float(re.search(r"Tempo\s*: ([\d.]+)", said)[1]) == pytest.approx(tempo_bpm, abs=1e-4)
    assert re.search(r"Meter\s*: (\S+)", said)[1] == str(meter)
    assert int(re.search(r"Beats\s*: (\d+)", said)[1]) == bars * meter.numerator
    assert re.search(r"Type :\s+0\s+Start :\s+(\d+)\s+End : (\d+)", said).groups() == ("0", str(frames - 1))
    assert int(re.search(r"Frames\s*: (\d+)", said)[1]) == frames
    assert "Error" not in said and "***" not in said
