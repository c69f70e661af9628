"""Assembling a bundle: graphs written, quantised, compared with their checkpoint and timed, then all of it at once."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import engines
from engines.bundle import MANIFEST, SCHEMA, Bundle, GraphEntry, Manifest, Source, sha256_of
from engines.errors import SidemanError
from engines.runtime import open_graph
from engines.runtime.context import LAST, TOTAL, Context
from export.parity import ParityError, agreement, same_bars
from export.quantise import quantise
from export.subject import GraphSubject, Subject
from offline.licences import expression

FORMATS = {"onnx": "fp32", "int8": "int8", "torchscript": "torchscript"}
"""What a user asks for, and the variant it is in the manifest."""

FILES = {"fp32": "{}.onnx", "int8": "{}.int8.onnx", "torchscript": "{}.ts"}

BARS = 64
"""Bars that two variants must play alike."""

TIMED_STEPS = 300

Say = Callable[[str], None]


def write_bundle(subject: Subject, target: Path, name: str, formats: Sequence[str], say: Say = print) -> Manifest:
    """Export a model into the folder `target`, which appears whole at the end or not at all.

    formats: of FORMATS, at least one of onnx and int8. An older bundle there is replaced.
    Raises ParityError with the figures when a graph does not say what the checkpoint says, SidemanError when target
    is something else or a format cannot be had.
    """
    variants = tuple(FORMATS[each] for each in FORMATS if each in formats)
    with placed(target) as (folder, scratch):
        _fill(folder, scratch, subject, name=name, variants=variants, say=say)
    return Bundle.load(target).manifest


@contextmanager
def placed(target: Path) -> Iterator[tuple[Path, Path]]:
    """(folder, scratch): what is a bundle in `folder` at the end takes the target's place; scratch goes away.

    Raises SidemanError when the target is something else than a bundle.
    """
    if target.exists() and not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise SidemanError(f"{target} exists and is no bundle; give another -o, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        yield folder, Path(scratch)
        Bundle.load(folder)
        _replace(folder, target, Path(scratch))


def licence_of(sources: Sequence[Source]) -> str:
    """The licence of weights learned from sources (offline.licences)."""
    return expression(source.licence for source in sources)


def _fill(folder: Path, scratch: Path, subject: Subject, *, name: str, variants: Sequence[str], say: Say) -> None:
    """Write and compare every graph, then the manifest."""
    parity: dict[str, Any] = {"steps_from": subject.steps_from}
    speed: dict[str, Any] = {}
    entries: dict[str, GraphEntry] = {}
    for graph_name, graph in subject.graphs.items():
        files: dict[str, str] = {}
        for variant, path, products in _written(graph, graph_name, folder, scratch, variants):
            opened = open_graph(path, tuple(t.name for t in graph.inputs), tuple(t.name for t in graph.outputs))
            agreed = agreement(graph.reference, graph.probe(opened), graph.distributions)
            figures = agreed.figures() | products
            say(f"{graph_name} {variant}: {path.stat().st_size / 1e6:.2f} MB, {_words(figures)}")
            failure = agreed.failure(exact=variant != "int8")
            if failure:
                raise ParityError(f"{graph_name} {variant} does not say what the checkpoint says: {failure}")
            parity.setdefault(graph_name, {})[variant] = figures
            if variant in variants:
                files[variant] = path.name
                speed.setdefault(graph_name, {})[variant] = _timed(graph, opened)
        entries[graph_name] = GraphEntry(graph.inputs, graph.outputs, files)
    manifest = Manifest(
        schema=SCHEMA,
        name=name,
        engine=subject.engine,
        kind=subject.kind,
        version=engines.__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        licence=licence_of(subject.sources),
        sources=subject.sources,
        graphs=entries,
        sha256={file.name: sha256_of(file) for file in sorted(folder.iterdir())},
        config=subject.config,
        training=subject.training,
        metrics=subject.metrics,
        parity=parity,
        speed=speed,
    )
    save_manifest(manifest, folder)
    if {"fp32", "torchscript"} <= set(variants):
        found = same_bars(Bundle.load(folder), "fp32", "torchscript", BARS)
        say(f"ONNX and TorchScript: {_words(found.figures())}")
        if found.different:
            raise ParityError(f"ONNX and TorchScript play different bars: {_words(found.figures())}")
        parity["same_bars"] = found.figures()
        save_manifest(msgspec.structs.replace(manifest, parity=parity), folder)


def _written(
    graph: GraphSubject, name: str, folder: Path, scratch: Path, variants: Sequence[str]
) -> list[tuple[str, Path, dict[str, Any]]]:
    """Write a graph's variants: (variant, file, its products by kind). fp32 is always made, since int8 comes of it."""
    kept = "fp32" in variants or not graph.products
    fp32 = (folder if kept else scratch) / FILES["fp32"].format(name)
    graph.onnx(fp32)
    written: list[tuple[str, Path, dict[str, Any]]] = [("fp32", fp32, {})]
    if "int8" in variants and not graph.products:
        written.append(("int8", fp32, {}))
    elif "int8" in variants:
        int8 = folder / FILES["int8"].format(name)
        written.append(("int8", int8, {"products": dict(quantise(fp32, int8))}))
    if "torchscript" in variants:
        if graph.torchscript is None:
            raise SidemanError("a Keras checkpoint has no TorchScript form; export with --formats onnx,int8")
        script = folder / FILES["torchscript"].format(name)
        graph.torchscript(script)
        written.append(("torchscript", script, {}))
    return written


def _timed(graph: GraphSubject, opened: Any) -> dict[str, float]:
    """Milliseconds of one step on this machine, at batch 1; of a graph that keeps its context, with a full one."""
    inputs = {t.name: np.zeros([1 if size == -1 else size for size in t.shape], t.dtype) for t in graph.inputs}
    context = Context(opened, graph.inputs) if TOTAL in inputs else None
    if context is not None:
        inputs = {name: array for name, array in inputs.items() if name not in (LAST, TOTAL, *context.names)}
    spent_ms = []
    for _ in range(TIMED_STEPS):
        start_ns = time.perf_counter_ns()
        if context is None:
            opened(**inputs)
        else:
            context.length = context.window - 1
            context.hear(1, **inputs)
        spent_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
    p50, p99 = np.percentile(spent_ms[TIMED_STEPS // 10 :], (50, 99))
    return {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write a bundle's manifest."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def _replace(folder: Path, target: Path, scratch: Path) -> None:
    """Put the new folder in the target's place; what was there goes with the scratch folder."""
    if target.exists():
        target.rename(scratch / "before")
    try:
        folder.rename(target)
    except OSError:
        if (scratch / "before").exists():
            shutil.move(scratch / "before", target)
        raise


def _words(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
