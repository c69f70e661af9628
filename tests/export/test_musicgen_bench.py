"""The bench of the decoder's step, with a shape that takes no time."""

import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

from export import musicgen_bench


def test_ours_and_theirs_are_timed_against_the_memorys_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(musicgen_bench, "SIZES", {"small": (2, 64, 4)})
    for name, value in (("STEPS", 3), ("THEIR_STEPS", 2), ("READ_BYTES", 1 << 20), ("READS", 2)):
        monkeypatch.setattr(musicgen_bench, name, value)
    found = list(musicgen_bench.timings("small", ("int4", "int8"), (1,), context=7))
    assert [each.what for each in found] == ["ours, int4", "ours, int8", "transformers, fp32", "transformers, bf16"]
    kept = 2 * 4 * 2 * 64 * 2 * 7
    weights = 2 * 14 * 64 * 64 + 4 * 2048 * 64  # of a layer's 16 d^2 two are the text's keys and values
    assert found[2].bytes == pytest.approx(4 * weights + kept, rel=0.01)
    assert found[0].bytes < found[1].bytes < found[3].bytes < found[2].bytes
    assert all(each.best_ms <= each.p50_ms and each.steps_s > 0 < each.share for each in found)
