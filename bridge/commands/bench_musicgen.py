"""bench: MusicGen's step in the shape of `small` against transformers and the memory's limit, and `texture` at play.

Both are measured by a process of their own: one imports torch, which the bridge does without, of the other the memory
is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from bridge.commands.bench_texture import CANDIDATES, Texture
from bridge.commands.figures import Row, percentile
from engines.errors import SidemanError

SHARE_TARGET, STEPS_TARGET, REAL_TIME_TARGET = 0.6, 50.0, 3.0
"""Of the memory's limit; steps a second with guidance at a context of 300, which is real time; of texture on a core."""

CONTEXT, THREADS = 300, (1, 2)
STRETCH = "ours, int4"
"""What the steps' goal is for; the memory's is for all of ours, on all the threads that are measured."""


class Step(msgspec.Struct, frozen=True):
    """A line of export.musicgen_bench: see its Timing."""

    what: str
    threads: int
    best_ms: float
    p50_ms: float
    cpu_ms: float
    bytes: int
    limit_ms: float


def musicgen_rows(seconds: float, texture: str) -> Iterator[Row]:
    """seconds: of sound that texture makes; texture: its bundle, by name or folder."""
    yield from measured_steps("small")
    yield from measured_texture(seconds, texture)


def measured_steps(size: str) -> Iterator[Row]:
    """size: of export.musicgen_bench."""
    threads = [count for count in THREADS if count <= (os.cpu_count() or 1)]
    words = [size, "--json", "--context", str(CONTEXT), "--threads", *map(str, threads)]
    try:
        yield from step_rows((msgspec.convert(each, Step) for each in _said("export.musicgen_bench", *words)), size)
    except SidemanError as error:
        yield Row(f"step of MusicGen-{size}", f"not here: {error}")


def measured_texture(seconds: float, texture: str) -> Iterator[Row]:
    """See musicgen_rows."""
    try:
        for each in _said("bridge.commands.bench_texture", texture, str(seconds)):
            yield from texture_rows(msgspec.convert(each, Texture, strict=False))
    except SidemanError as error:
        yield Row(f"musicgen, {texture}", f"not here: {error}")


def step_rows(steps: Iterator[Step], size: str) -> Iterator[Row]:
    """Each step as it is measured, against the limit of its own bytes; then ours against theirs."""
    found: list[Step] = []
    for each in steps:
        if not found:
            yield Row("memory hands over, at most", f"{each.bytes / each.limit_ms / 1e6:.1f} GB/s")
        found.append(each)
        name = f"{size}, {each.what}, {_threads(each.threads)}"
        per_s, limit_s, share = 1e3 / each.p50_ms, 1e3 / each.limit_ms, each.limit_ms / each.p50_ms
        ours, most = each.what.startswith("ours"), each.threads == max(THREADS)
        aimed = most and each.what == STRETCH
        yield Row(
            name, f"{per_s:.1f} steps/s (p50 {each.p50_ms:.1f} ms, CPU {each.cpu_ms:.1f})",
            f">= {STEPS_TARGET:g}" if aimed else "", per_s >= STEPS_TARGET if aimed else None,
        )  # fmt: skip
        yield Row(
            f"  of its limit, {limit_s:.0f}/s ({each.bytes / 1e6:.0f} MB)",
            f"{share:.0%} (by CPU {each.limit_ms / each.cpu_ms:.0%})",
            f">= {SHARE_TARGET:.0%}" if ours and most else "", share >= SHARE_TARGET if ours and most else None,
        )  # fmt: skip
    for own in (each for each in found if each.what.startswith("ours")):
        against = [
            f"{other.p50_ms / own.p50_ms:.1f}x {other.what.rpartition(' ')[2]}"
            for other in found
            if not other.what.startswith("ours") and other.threads == own.threads
        ]
        if against:
            yield Row(f"{own.what}, {_threads(own.threads)}, against transformers", ", ".join(against))


def texture_rows(found: Texture) -> Iterator[Row]:
    """How much quicker than time a bundle plays on one thread, how soon, and in how much memory."""
    name = f"texture {found.variant}"
    for count in CANDIDATES:
        spent = found.whole[count]
        real, by_cpu = found.sound_s / spent.clock_s, found.sound_s / spent.cpu_s
        yield Row(
            f"{name}, {count} candidate{'s' if count > 1 else ''}", f"{real:.1f}x real time (by CPU {by_cpu:.1f})",
            f">= {REAL_TIME_TARGET:g}x" if count == 1 else "", real >= REAL_TIME_TARGET if count == 1 else None,
        )  # fmt: skip
    spent = found.chunks
    yield Row(f"{name}, in chunks of {found.chunk_s * 1e3:.0f} ms",
              f"{found.sound_s / spent.clock_s:.1f}x real time (by CPU {found.sound_s / spent.cpu_s:.1f})")  # fmt: skip
    p50, worst = (percentile(found.first_s, percent) * 1e3 for percent in (50, 100))
    yield Row(f"{name}, from a prompt to its first chunk", f"p50 {p50:.0f} ms, at most {worst:.0f}")
    if found.memory_mb is not None:
        yield Row(f"{name}, memory of its process", f"{found.memory_mb:.0f} MB")


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _said(module: str, *words: str) -> Iterator[Any]:
    """What a module of ours says as a program, line by line of JSON. Raises SidemanError with its last word."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            for line in child.stdout or ():
                yield json.loads(line)
            mistakes = (child.stderr.read() if child.stderr else "").strip().splitlines()
            child.wait()
        except BaseException:  # nobody listens any more
            child.kill()
            raise
    if child.returncode:
        raise SidemanError((mistakes or ["it did not say why"])[-1][:120])
