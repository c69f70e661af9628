"""The bench of the decoder's step, with a shape that takes no time, and of a bundle at play."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bridge.cli import main
from bridge.commands.bench_musicgen import Step, measured_steps, measured_texture, step_rows

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

from export import musicgen_bench


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", 3), ("THEIR_STEPS", 2), ("READ_BYTES", 1 << 20), ("READS", 2)):
        monkeypatch.setattr(musicgen_bench, name, value)


def test_ours_and_theirs_are_timed_against_the_memorys_limit() -> None:
    found = list(musicgen_bench.timings("tiny", ("int4", "int8"), (1,), context=7))
    assert [each.what for each in found] == ["ours, int4", "ours, int8", "transformers, fp32", "transformers, bf16"]
    kept = 2 * 4 * 2 * 64 * 2 * 7
    weights = 2 * 14 * 64 * 64 + 4 * 2048 * 64  # of a layer's 16 d^2 two are the text's keys and values
    assert found[2].bytes == pytest.approx(4 * weights + kept, rel=0.01)
    assert found[0].bytes < found[1].bytes < found[3].bytes < found[2].bytes
    assert all(each.best_ms <= each.p50_ms and each.steps_s > 0 < each.share for each in found)


def test_the_step_as_torchscript_is_timed_on_devices(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    musicgen_bench.main(["tiny", "--devices", "cpu", "--context", "7"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("torchscript on cpu, fp32, 1 threads: ") and line.endswith(" MB a step")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        musicgen_bench.main(["tiny", "--devices", "cuda"])
    assert "torch finds no CUDA device here: use the device cpu, or auto" in capsys.readouterr().err


def test_its_lines_become_rows_with_their_limits(capsys: pytest.CaptureFixture[str]) -> None:
    musicgen_bench.main(["tiny", "--json", "--context", "7", "--variants", "int4", "--theirs", "bf16"])
    steps = [msgspec.convert(json.loads(line), Step) for line in capsys.readouterr().out.splitlines()]
    rows = list(step_rows(iter(steps), "tiny"))
    assert [row.name for row in rows] == [
        "memory hands over, at most",
        *(name for each in steps for name in (
            f"tiny, {each.what}, {each.threads} thread{'s' if each.threads > 1 else ''}",
            f"  of its limit, {1e3 / each.limit_ms:.0f}/s ({each.bytes / 1e6:.0f} MB)",
        )),
        "ours, int4, 1 thread, against transformers", "ours, int4, 2 threads, against transformers",
    ]  # fmt: skip
    judged = {row.name: row.target for row in rows if row.passed is not None}
    assert list(judged.values()) == [">= 50", ">= 60%"], "ours on all threads; the others are there to compare"


@pytest.mark.parametrize(("p50_ms", "passed"), [(15.0, [True, True]), (18.0, [True, False]), (25.0, [False, False])])
def test_a_step_is_judged_by_real_time_and_by_the_memory(p50_ms: float, passed: list[bool]) -> None:
    step = Step("ours, int4", 2, p50_ms, p50_ms, 2 * p50_ms, 240_000_000, 10.0)
    memory, steps_s, share = step_rows(iter([step]), "small")
    assert memory.figure == "24.0 GB/s"
    assert [steps_s.passed, share.passed] == passed


def test_a_bundle_at_play_is_measured_in_a_process_of_its_own(
    musicgen_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "b"
    assert main(["export", "musicgen", str(musicgen_folder()), "-o", str(bundle), "--formats", "int8", "--quiet"]) == 0
    rows = list(measured_texture(1.0, str(bundle)))
    names = ["1 candidate", "2 candidates", "4 candidates", "in chunks of 500 ms", "from a prompt to its first chunk",
             "memory of its process"]  # fmt: skip
    assert [row.name for row in rows] == [f"texture int8, {name}" for name in names]
    real = [float(row.figure.partition("x")[0]) for row in rows[:4]]
    assert min(real) > 0
    assert [row.passed for row in rows] == [real[0] >= 3.0, *[None] * 5]
    assert 20 < float(rows[-1].figure.split()[0]) < 1000


def test_what_cannot_be_measured_says_why() -> None:
    (steps,) = measured_steps("none such")
    assert "invalid choice: 'none such'" in steps.figure
    (texture,) = measured_texture(1.0, "groove")
    assert "groove is for the engine drums, not musicgen" in texture.figure
