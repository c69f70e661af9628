"""bench: its arithmetic, and that it says why it cannot measure. The figures themselves are no test."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.commands import bench, figures
from bridge.commands.live_figures import _usage, measure_live
from engines.errors import SidemanError


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(i) for i in range(100, 0, -1)]
    assert figures.percentile(values, 50) == 51.0
    assert figures.percentile(values, 99) == 100.0
    assert figures.percentile([3.0], 99) == 3.0


def test_a_process_and_its_children_are_found() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name, cpu_s, megabytes = _usage(os.getpid())[os.getpid()]
        assert cpu_s > 0 and 5 < megabytes < 10_000 and name
        assert child.pid in _usage(os.getpid())
        assert list(_usage(child.pid)) == [child.pid]
        child.communicate(b"\n")


def test_what_does_not_play_says_why() -> None:
    with pytest.raises(SidemanError, match="there is no bundle nowhere"):
        measure_live(1.0, "nowhere")


def test_a_missed_target_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        figures.Row("a", "1 ms", "<= 2 ms", True),
        figures.Row("b", "3 ms", "<= 2 ms", False),
        figures.Row("c", "x"),
    ]
    monkeypatch.setattr(bench, "rows", lambda *_: iter(found))
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    assert bench.run(parser.parse_args([])) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in printed] == ["pass", "MISS", "x"]
    with pytest.raises(SidemanError, match="--bars of 10 or more"):
        bench.run(parser.parse_args(["--bars", "1"]))
