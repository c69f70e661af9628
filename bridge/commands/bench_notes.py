"""bench: models of notes, token by token against another library's way and the seed's, and bar by bar."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bridge.commands.figures import Row, percentile
from bridge.commands.live_figures import measure_live
from engines.bundle import Bundle, find
from engines.errors import BundleError, SidemanError

if TYPE_CHECKING:
    import numpy as np

    from engines.notes.asked import Asked, NoteModel, Written
    from engines.notes.history import History
    from engines.notes.remi.model import RemiModel

GENERATE_TARGET, SEED_TARGET = 5.0, 100.0
FIRST_TARGET_MS, BAR_TARGET_MS, WORKER_TARGET_MB = 30.0, 250.0, 300.0

PROBE = (5, 9, 40, 7, 30, 12)
"""Tokens after which both ways must say the same."""

WARM_BARS = 24
"""Bars that fill a model's context before any is timed."""

GENRES = 7
"""Of those that a model knows, as many are timed, some of the bars each: a busy one takes longer."""


def note_rows(bars: int, seconds: float, notes: str, remi: str) -> Iterator[Row]:
    """notes, remi: bundles to measure, by name or folder: the product's, and the flat GPT's."""
    yield from _of(remi, "remi", token_rows)
    yield from _of(notes, "chain", lambda bundle: bar_rows(bundle, bars, seconds))


def _of(name: str, kind: str, rows: Any) -> Iterator[Row]:
    try:
        bundle = Bundle.load(find(name))
        if bundle.manifest.kind != kind:
            raise BundleError(f"{name} is of kind {bundle.manifest.kind}, not {kind}")
        yield from rows(bundle)
    except SidemanError as error:
        yield Row(f"notes, {name}", f"not here: {error}")


def token_rows(bundle: Bundle) -> Iterator[Row]:
    """Tokens a second of the bundle's quickest graph, of Hugging Face's generate, and of the seed's way."""
    from bridge.commands.bench_llama import CONTEXT, MADE
    from engines.notes.remi.model import GRAPH, RemiModel

    variant = bundle.variants()[0]
    model = RemiModel.load(bundle, variant)
    ours_s = _token_s(model, CONTEXT, MADE)
    ours = 1.0 / ours_s
    yield Row(f"tokens a second, ours ({variant}, cached)", f"{ours:,.0f} ({ours_s * 1e3:.2f} ms each)")
    file = bundle.path / bundle.manifest.graphs[GRAPH].files[variant]
    command = [
        sys.executable,
        "-m",
        "bridge.commands.bench_llama",
        str(file),
        json.dumps([*model.vocabulary.prefix(0), *PROBE]),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it did not say why"])[-1]
        yield Row("tokens a second, Hugging Face generate", f"not here: {reason[:80]}")
        return
    theirs = json.loads(result.stdout.splitlines()[-1])
    ratio, slow = ours / theirs["tokens_s"], ours * theirs["uncached_s"]
    line = model.line(0)
    line.begin(PROBE)
    gap = max(abs(one - other) for one, other in zip(line.logits.tolist(), theirs["said"], strict=True))
    yield Row("tokens a second, Hugging Face generate, cached", f"{theirs['tokens_s']:,.0f}; logits within {gap:.2g}")
    yield Row("ours against that", f"{ratio:.1f}x", f">= {GENERATE_TARGET:g}x", ratio >= GENERATE_TARGET)
    yield Row("tokens a second, no cache, 1,024 tokens", f"{1 / theirs['uncached_s']:,.1f}")
    yield Row("ours against that", f"{slow:.0f}x", f">= {SEED_TARGET:g}x", slow >= SEED_TARGET)


def _token_s(model: RemiModel, context: int, count: int) -> float:
    """Seconds that a token takes, sampled and heard, after so many."""
    import numpy as np

    from engines.sampling import pick, shaped

    random = np.random.default_rng(0)
    line = model.line(0)
    line.begin(random.integers(3, len(model.vocabulary), context).tolist())
    before_s = time.perf_counter()
    for _ in range(count):
        line.hear([pick(shaped(line.logits), random.random())])
    return (time.perf_counter() - before_s) / count


def bar_rows(bundle: Bundle, bars: int, seconds: float) -> Iterator[Row]:
    """How soon a bar's first note is there, and the whole bar, in a full context; and a worker's memory."""
    for variant in bundle.variants():
        if variant == "torchscript":
            continue
        first_s, whole_s = _bars_s(bundle, variant, bars)
        aimed = variant == "int8"
        for name, took_s, limit_ms in (("first note", first_s, FIRST_TARGET_MS), ("bar", whole_s, BAR_TARGET_MS)):
            p50, p95 = (percentile(took_s, percent) * 1e3 for percent in (50, 95))
            yield Row(
                f"{name}, {bundle.manifest.name} {variant}", f"p50 {p50:.1f} ms, p95 {p95:.1f} ms",
                f"p95 <= {limit_ms:g} ms" if aimed else "", p95 <= limit_ms if aimed else None,
            )  # fmt: skip
    memory = measure_live(seconds, str(bundle.path)).worker_mb
    if memory is not None:
        yield Row("memory of its worker", f"{memory:.0f} MB", f"<= {WORKER_TARGET_MB:g} MB", memory <= WORKER_TARGET_MB)


def _bars_s(bundle: Bundle, variant: str, bars: int) -> tuple[list[float], list[float]]:
    """Seconds to the first note and to the end of each bar of some genres, once the context is full."""
    from bridge.commands.making import continued, made
    from engines.notes.engine import NotesEngine
    from engines.parameter import Parameters

    engine = NotesEngine.load(bundle, variant)
    watched = Watched(engine.model)
    engine.model = watched
    genres = engine.model.genres
    first_s, whole_s = [], []
    for genre in genres[:: -(-len(genres) // GENRES)] or [""]:
        parameters = Parameters(engine.parameters)
        if genre:
            parameters.set("genre", genre)
        count = WARM_BARS + max(1, bars // GENRES)
        song = made(engine, parameters, continued((), 1, count))
        for number in range(count):
            watched.asked_s.clear()
            before_s = time.perf_counter()
            next(song)
            if number >= WARM_BARS:
                whole_s.append(time.perf_counter() - before_s)
                if len(watched.asked_s) > 1:  # a bar without notes has no first
                    first_s.append(watched.asked_s[1] - before_s)
    return first_s or whole_s, whole_s


class Watched:
    """A NoteModel that notes when it asks for the time that is left: before each note."""

    def __init__(self, model: NoteModel) -> None:
        self._model = model
        self.asked_s: list[float] = []

    @property
    def genres(self) -> tuple[str, ...]:
        """The model's."""
        return self._model.genres

    def write(self, history: History, asked: Asked, random: np.random.Generator) -> Written:
        """The model's bar."""

        def left_s() -> float:
            self.asked_s.append(time.perf_counter())
            return asked.left_s()

        return self._model.write(history, replace(asked, left_s=left_s), random)

    def score(self, history: History, asked: Asked) -> float:
        """The model's."""
        return self._model.score(history, asked)
