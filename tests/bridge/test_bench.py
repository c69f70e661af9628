"""bench: its arithmetic, and that it says why it cannot measure. The figures themselves are no test."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.commands import bench, bench_clock, figures
from bridge.commands.bench_audio import Played, played_rows
from bridge.commands.bench_band import Heard, figures_of
from bridge.commands.bench_clock import followed
from bridge.commands.bench_jack import aligned, residuals_ms
from bridge.commands.bench_link import Mirror, apart_ns
from bridge.commands.bench_notes import note_rows
from bridge.commands.live_figures import measure_live, usage
from bridge.messages.sound import SoundStatus
from bridge.messages.stage import EpochStarted, Piece, StageStatus
from bridge.messages.sync import SourceState
from bridge.terminal.view import ShownBar
from engines.errors import SidemanError
from engines.music import Meter, Note


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(i) for i in range(100, 0, -1)]
    assert figures.percentile(values, 50) == 51.0
    assert figures.percentile(values, 99) == 100.0
    assert figures.percentile([3.0], 99) == 3.0


def test_a_histogram_has_every_error_in_one_class_whatever_its_sign() -> None:
    assert figures.histogram([0.001, -0.001, 0.015, -0.3]) == "ms <.01: 50 %, <.02: 25 %, <.5: 25 %"
    assert figures.histogram([7.0] + [0.0] * 999) == "ms <.01: 100 %, >=5: 0.1 %"
    assert figures.histogram([0.01]) == "ms <.02: 100 %", "a class begins at its edge"


def mirror(start_ns: int, tempo_mbpm: int, epoch: EpochStarted) -> Mirror:
    found = Mirror()
    for message in (Piece(0, start_ns, tempo_mbpm), epoch, SourceState("link", True, False, tempo_mbpm, 0.0, 1)):
        found.hear(message)
    return found


def test_two_timelines_are_apart_by_what_lies_between_the_same_places_in_the_bar() -> None:
    one = mirror(0, 120_000, EpochStarted(1, 100, 0))
    bars_ns = 7 * 2_000_000_000
    other = mirror(3_000_000, 120_000, EpochStarted(1, 100 + 7 * 3840, 0))
    assert other.peers == 1
    assert apart_ns(one, other, 20 * bars_ns) == -3_000_000
    assert apart_ns(other, one, 20 * bars_ns) == 3_000_000
    other.hear(Piece(960, 503_000_000, 60_000))
    assert abs(apart_ns(one, other, 553_000_000) or 0) > 3_000_000
    assert apart_ns(one, Mirror(), 0) is None


def test_what_is_lost_on_the_way_does_not_pass_for_what_comes_next() -> None:
    due = [(i * 10_000_000, 20 + i % 96) for i in range(200)]
    arrived = [(1000 + i * 480, pitch) for i, (_, pitch) in enumerate(due) if i not in (0, 50, 51, 199)]
    pairs = aligned(arrived, due)
    assert len(pairs) == 196 and pairs[0] == (1480, 10_000_000)
    assert max(residuals_ms(pairs, 48_000)) < 1e-6
    late = [*pairs[:100], (pairs[100][0] + 48, pairs[100][1]), *pairs[101:]]
    assert max(residuals_ms(late, 48_000)) == pytest.approx(1.0, abs=0.02)


def test_a_simulated_clock_is_followed_on_its_seed_alone() -> None:
    one = followed(97.3, seed=3, bars=6)
    assert one == followed(97.3, seed=3, bars=6) != followed(97.3, seed=4, bars=6)
    assert one.tempo_error_bpm < 0.1 and max(map(abs, one.phase_errors_ms)) < 1.0
    exact = followed(97.3, seed=3, jitter_ms=0.0, lost=0.0, bars=6)
    assert max(map(abs, exact.phase_errors_ms)) < 0.05


def sound_status(player: str, **counters: float) -> SoundStatus:
    fields = dict.fromkeys(SoundStatus.__struct_fields__, 0) | {"player": player, "device": "JACK", "rate": 48_000}
    return SoundStatus(**(fields | counters))  # type: ignore[arg-type]


def test_what_starved_before_is_not_counted_and_xruns_of_one_device_count_once() -> None:
    before = [sound_status(player, xruns=2, starved_frames=100) for player in ("drums", "loop")]
    after = [sound_status(player, xruns=5, starved_frames=100, load_p99_percent=7) for player in ("drums", "loop")]
    pairs = tuple(zip(before, after, strict=True))
    stage = StageStatus(900, 100.0, 200.0, 300.0, 0, 0, 0.0, True)
    frames, callback, late, xruns = played_rows("sound", Played(pairs, 2, stage))
    assert late.name.strip() == "900 events meanwhile, late" and "p99 0.20" in late.figure
    assert frames.passed and frames.figure.startswith("0 frames starved")
    assert callback.passed and "p99 7 %" in callback.figure
    assert xruns.figure == "3 against 2" and not xruns.passed
    starved = (pairs[0], (before[1], sound_status("loop", xruns=5, starved_frames=612, late_frames=1)))
    assert next(played_rows("sound", Played(starved, 9, stage))).figure == "512 frames starved, 1 of loops late"


def test_a_process_and_its_children_are_found() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name, cpu_s, megabytes = usage(os.getpid())[os.getpid()]
        assert cpu_s > 0 and 5 < megabytes < 10_000 and name
        assert child.pid in usage(os.getpid())
        assert list(usage(child.pid)) == [child.pid]
        child.communicate(b"\n")


def test_what_does_not_play_says_why() -> None:
    with pytest.raises(SidemanError, match="there is no bundle nowhere"):
        measure_live(1.0, "nowhere")


def test_only_what_is_asked_for_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_clock, "SEEDS", 1)
    found = list(bench.rows(bench.Wanted(10, 1.0, False), ["clock"]))
    assert found[0].name == "this machine" and all("late" not in row.name for row in found)
    assert [row.passed for row in found[1:3]] == [True, True], "a MIDI clock on simulated clocks needs no machine"


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


def test_a_band_is_counted_by_player_and_what_is_out_of_the_scale_is_found() -> None:
    heard = Heard()
    notes = tuple(Note(0, pitch, 90, 60, part) for pitch, part in ((62, 3), (63, 3), (61, 1), (61, 0)))
    for bar in range(4):
        for player, outcome in (("drums", "hit"), ("band", "cut" if bar == 2 else "hit")):
            played = notes if player == "band" else ()
            heard.bar(ShownBar(player, bar, Meter(), 140.0, played, outcome, 0.1 * bar, {}))
    rows = {row.name: row for row in figures_of(heard, 4)}
    assert rows["band live, band, 140 bpm, 4 bars"].figure == "3 hit, 1 cut"
    assert rows["band live, band, 140 bpm, 4 bars"].passed is False
    assert rows["band live, drums, 140 bpm, 4 bars"].passed
    assert rows["band live, drums, headroom"].figure == "least 10%, median 20%"
    assert rows["band live, out of D dorian"].figure == "4 of 8 notes"


def test_notes_that_cannot_be_measured_are_said_to_be_so() -> None:
    rows = list(note_rows(10, 1.0, "nothing-like-it", "groove"))
    assert [row.passed for row in rows] == [None, None]
    assert "groove is of kind groove, not remi" in rows[0].figure
    assert "there is no bundle nothing-like-it" in rows[1].figure
    with pytest.raises(SidemanError, match="no part nothing"):
        parser = argparse.ArgumentParser()
        bench.add_arguments(parser)
        bench.run(parser.parse_args(["nothing"]))
