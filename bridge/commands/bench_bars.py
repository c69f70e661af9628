"""bench: how long a bar takes, with each bundle and each of its graphs, and the seed's way beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

from bridge.commands.figures import Row, percentile
from engines.bundle import Bundle, shipped
from engines.errors import SidemanError

BAR_TARGET_MS = 2.0
SEED_RATIO_TARGET = 100.0


def bar_rows(bars: int, seed_model: bool) -> Iterator[Row]:
    """All shipped bundles of notes; seed_model: with the seed's way, where keras is."""
    quickest_s: float | None = None
    for folder in shipped():
        bundle = Bundle.load(folder)
        if bundle.manifest.engine == "musicgen":  # sideman bench musicgen
            continue
        for variant in bundle.variants():
            try:
                took_s = bar_times(bundle, variant, bars)
            except SidemanError as error:
                yield Row(f"bar, {folder.name} {variant}", f"not here: {error}")
                continue
            aimed = (folder.name, variant) == ("groove", "int8")
            if aimed:
                quickest_s = percentile(took_s, 50)
            yield Row(
                f"bar, {folder.name} {variant}",
                f"p50 {percentile(took_s, 50) * 1e3:.2f} ms, p99 {percentile(took_s, 99) * 1e3:.2f} ms",
                f"p99 <= {BAR_TARGET_MS:g} ms" if aimed else "",
                percentile(took_s, 99) * 1e3 <= BAR_TARGET_MS if aimed else None,
            )
    if seed_model:
        yield from seed_rows(quickest_s)


def bar_times(bundle: Bundle, variant: str, bars: int) -> list[float]:
    """Seconds that each of so many bars took, in this process, once the first are over."""
    from bridge.commands.making import continued, made
    from engines.parameter import Parameters
    from engines.registry import engine_class

    engine = engine_class(bundle.manifest.engine).load(bundle, variant)
    warm = bars // 10
    song = made(engine, Parameters(engine.parameters), continued((), 1, warm + bars))
    took_s = []
    for _ in range(warm + bars):
        before_s = time.perf_counter()
        next(song)
        took_s.append(time.perf_counter() - before_s)
    return took_s[warm:]


def seed_rows(quickest_s: float | None) -> Iterator[Row]:
    """The seed's approach: keras predict at each step, in a process of its own."""
    name = "bar, the seed's way (keras predict a step)"
    command = [sys.executable, "-m", "bridge.commands.bench_seed"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it did not say why"])[-1]
        yield Row(name, f"not here: {reason[:80]}")
        return
    took_s: list[float] = json.loads(result.stdout.splitlines()[-1])
    yield Row(name, f"p50 {percentile(took_s, 50) * 1e3:.0f} ms")
    if quickest_s is not None:
        ratio = percentile(took_s, 50) / quickest_s
        target = f">= {SEED_RATIO_TARGET:g}x"
        yield Row("that against groove int8, medians", f"{ratio:.0f}x", target, ratio >= SEED_RATIO_TARGET)
