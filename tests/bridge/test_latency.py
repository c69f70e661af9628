"""latency: its sum, and that what is missing here does not keep the rest from being told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bridge.commands import latency
from bridge.commands.latency import Parts
from engines.errors import SidemanError

SET = """
tempo = 90

[players.drums]
outputs = ["osc:127.0.0.1:9", "midi:there is no such port"]

[players.broken]
bundle = "nowhere"

[outputs."osc:127.0.0.1:9"]
latency_ms = 12.5
"""


def test_the_sum_is_of_all_parts_also_in_sixteenths() -> None:
    parts = Parts(planning_ms=60.0, bar_p99_ms=5.0, queue_ms=10.0, device_ms=12.5, compensation_ms=-25.0)
    assert parts.sum_ms == pytest.approx(62.5)
    assert parts.sixteenths(120.0) == pytest.approx(0.5)
    assert parts.sixteenths(60.0) == pytest.approx(0.25)


def test_every_player_and_output_is_told_and_what_is_missing_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "set.toml"
    file.write_text(SET)
    parser = argparse.ArgumentParser()
    latency.add_arguments(parser)
    assert latency.run(parser.parse_args([str(file), "--bars", "10"])) == 1
    head, columns, osc, midi, broken = capsys.readouterr().out.splitlines()
    assert "90 bpm" in head and columns.split()[-2:] == ["sum", "sixteenths"]
    *parts, total, sixteenths = (float(word) for word in osc.split()[2:])
    assert parts[0] == 60.0 and parts[1] > 0 and parts[-1] == 12.5
    assert sum(parts) == pytest.approx(total, abs=0.3)
    assert sixteenths == pytest.approx(total / (15_000 / 90), abs=0.01)
    assert midi.startswith("drums midi:there is no such port") and "not here" in midi
    assert broken.startswith("broken") and "nowhere" in broken
    with pytest.raises(SidemanError, match="--bars takes"):
        latency.run(parser.parse_args(["--bars", "3"]))
