"""`sideman export musicgen MODEL -o BUNDLE`: a MusicGen, from its folder or the hub, as a verified bundle."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import engines
from engines.bundle import SCHEMA, GraphEntry, Manifest, Source, sha256_of
from engines.errors import SidemanError
from engines.musicgen.delay import delays_of
from engines.musicgen.model import TOKENS_FILE
from engines.musicgen.parameters import Live
from engines.musicgen.shape import VERSION, Shape, step_inputs
from engines.runtime import Graph, open_graph
from engines.runtime.context import Context
from export.bundle import placed, save_manifest
from export.musicgen_faders import SETTINGS, placed_live
from offline.musicgen.decoder.checkpoint import SOURCES

if TYPE_CHECKING:
    from export.musicgen_graphs import GraphPlan
    from offline.steering.model import Model

FORMATS = {"onnx": "fp32", "int8": "int8", "int4": "int4", "torchscript": "torchscript"}
FILES = {"fp32": "{}.onnx", "int8": "{}.int8.onnx", "int4": "{}.int4.onnx", "torchscript": "{}.ts"}

SECONDS = 30.0
"""What MusicGen was trained to count to."""

TOKENS_MAX = 256
PROMPT = "80s pop track with bassy drums and synth"
"""Heard while the graphs are compared."""

TIMED_STEPS = 50
FLOAT_MAX = 6_000_000_000
"""Bytes of float weights above which the float form is written only where it is asked for."""

META = "CC-BY-NC-4.0"
"""Of the weights that Meta publishes as facebook/musicgen-*."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman export musicgen`."""
    parser.add_argument(
        "model", help="a folder that from_pretrained reads, or a hub id such as facebook/musicgen-small"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("--name", help="the bundle's name [the folder's]")
    parser.add_argument(
        "--formats", default="onnx,int8", metavar="LIST", help=f"of {', '.join(FORMATS)}, comma between [onnx,int8]"
    )
    parser.add_argument("--licence", help="of the weights, as an SPDX expression [the model card's]")
    live = parser.add_argument_group("playing", "for sideman live, and for names in sideman generate musicgen")
    live.add_argument("--fader", action="append", default=[], metavar="NAME=FILE[,KEY=VALUE...]",
                      help=f"a direction as a fader, several times; keys: {', '.join(SETTINGS)}")  # fmt: skip
    live.add_argument("--directions", default="", metavar="FOLDER[,KEY=VALUE...]",
                      help="directions for held keys, beside the faders; keys: these, and method")  # fmt: skip
    live.add_argument("--context-seconds", dest="context_s", type=float, default=Live().context_s, metavar="S",
                      help="of the stream, from which it goes on when positions run out [6]")  # fmt: skip
    for name, meaning in (("prompt", "TEXT"), ("guidance", "G"), ("temperature", "T"), ("top_k", "K"),
                          ("candidates", "N")):  # fmt: skip
        value = getattr(Live(), name)
        live.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, metavar=meaning,
                          help=f"this parameter at first [{value or 'none'}]")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="print nothing but mistakes")


def run(args: argparse.Namespace) -> int:
    """Export; returns 0. Raises SidemanError, and leaves no bundle, if a graph disagrees with the model."""
    formats = [word.strip() for word in args.formats.split(",") if word.strip()]
    unknown = [word for word in formats if word not in FORMATS]
    if unknown or not {"onnx", "int8", "int4"} & set(formats):
        raise SidemanError(f"--formats {args.formats}: of {', '.join(FORMATS)}, with onnx, int8 or int4 among them")
    from offline.steering.model import load_model

    say: Callable[[str], None] = (lambda line: None) if args.quiet else print
    model = load_model(args.model)
    licence = args.licence or licence_of(args.model)
    say(f"{args.model}: {model.layers} layers of width {model.width}, {model.codebooks} codebooks, weights {licence}")
    with placed(args.output) as (folder, scratch):
        wanted = Wanted(folder, scratch, tuple(FORMATS[each] for each in FORMATS if each in formats), say)
        manifest = _filled(wanted, model, placed_live(folder, shape_of_model(model), args))
        name = args.name or args.output.resolve().name
        save_manifest(msgspec.structs.replace(manifest, name=name, licence=licence), folder)
    say(f"{args.output}: a bundle; hear it with: sideman generate musicgen {args.output} --prompt TEXT -o FILE.wav")
    return 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the bundle's files go, others for a while, and the variants that are to be in it."""

    folder: Path
    scratch: Path
    variants: tuple[str, ...]
    say: Callable[[str], None]


def shape_of_model(model: Model) -> Shape:
    """What a bundle of the model says in its config, but for the context of chunks, which is measured."""
    config, audio = model.network.config.decoder, model.network.config.audio_encoder
    if config.pad_token_id != config.vocab_size:
        raise SidemanError(f"{model.name}: its padding is {config.pad_token_id}, MusicGen's is the size of a codebook")
    if config.hidden_size % 2:
        raise SidemanError(f"{model.name}: its width {config.hidden_size} is odd")
    delays = delays_of(model.codebooks, model.channels)
    counted = round(SECONDS * audio.sampling_rate / audio.hop_length) + max(delays)
    return Shape(
        version=VERSION, layers=model.layers, width=model.width, heads=config.num_attention_heads,
        books=model.codebooks, vocabulary=config.vocab_size, delays=delays, channels=model.channels,
        rate_hz=model.rate_hz, hop=int(audio.hop_length), positions=min(config.max_position_embeddings, counted),
        left=16, right=1, tokens_max=TOKENS_MAX, model_hash=model.hash,
    )  # fmt: skip


def licence_of(name: str) -> str:
    """Of the weights of a model, by its card (README.md), or because they are Meta's own; else "unknown"."""
    card = Path(name).expanduser() / "README.md"
    if card.is_file():
        found = re.search(
            r'\A---\n(?:.*\n)*?license:[ \t]*"?([^"\n]+?)"?\s*\n', card.read_text("utf-8", "replace")[:20_000]
        )
        if found:
            return {META.lower(): META}.get(found[1].lower(), found[1])
    return META if name.startswith("facebook/musicgen") else "unknown"


def sources_of(name: str) -> tuple[Source, ...]:
    """What a model of `sideman train musicgen` says that it learned from; of others nothing is known.

    Raises SidemanError for a list that is not what the training writes.
    """
    file = Path(name).expanduser() / SOURCES
    if not file.is_file():
        return ()
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[Source, ...])
    except msgspec.DecodeError as error:
        raise SidemanError(f"{file}: {error}; it is written by: sideman train musicgen") from error


def _filled(wanted: Wanted, model: Model, live: dict[str, Any]) -> Manifest:
    """Write and compare every graph; the manifest. live: of its config, what is said of playing."""
    from engines.musicgen.tokens import Tokens
    from export.musicgen_graphs import plans
    from export.musicgen_parity import Steered, codec_figures, step_figures
    from export.musicgen_tokens import table_of
    from offline.steering.model import load_tokenizer

    folder, variants, say = wanted.folder, wanted.variants, wanted.say
    shape = shape_of_model(model)
    table = table_of(load_tokenizer(model.name), model.name)
    (folder / TOKENS_FILE).write_bytes(msgspec.json.encode(table))
    weights = sum(each.nbytes for each in model.network.decoder.parameters())
    made = variants if "fp32" in variants or weights > FLOAT_MAX else ("fp32", *variants)
    graphs, entries = plans(model.network, shape), {}
    files: dict[str, dict[str, Path]] = {}
    for graph, plan in graphs.items():
        files[graph] = _written(wanted, graph, plan, made)
        listed = {variant: path.name for variant, path in files[graph].items() if path.parent == folder}
        entries[graph] = GraphEntry(plan.inputs, plan.outputs, listed)

    def opened(graph: str, variant: str) -> Graph:
        path = files[graph].get(variant) or next(iter(files[graph].values()))
        plan = graphs[graph]
        return open_graph(path, tuple(t.name for t in plan.inputs), tuple(t.name for t in plan.outputs))

    shape, codec = codec_figures(model.network, shape, opened("decode", "fp32"), opened("encode", "fp32"))
    say(f"codec: {_words(codec)}")
    parity: dict[str, Any] = {"codec": codec, "step": {}}
    speed: dict[str, Any] = {"step": {}}
    steered = Steered(model.network, shape, Tokens(table)(PROMPT)[:TOKENS_MAX])
    for variant in made:
        step = opened("step", variant)
        figures = step_figures(steered, variant, {"step": step, "cross": opened("cross", variant)})
        parity["step"][variant] = figures
        say(f"step {variant}: {files['step'][variant].stat().st_size / 1e6:.1f} MB, {_words(figures)}")
        if variant in variants:
            speed["step"][variant] = _timed(step, shape)
    said = opened("text", "fp32")(ids=np.array([Tokens(table)(PROMPT)[:TOKENS_MAX]], np.int64))[0]
    parity["text"] = {"max_abs": float(f"{np.abs(said - steered.states).max():.3g}")}
    return Manifest(
        schema=SCHEMA, name=model.name, engine="musicgen", kind="musicgen", version=engines.__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), licence="unknown", sources=sources_of(model.name),
        graphs=entries,
        sha256={file.name: sha256_of(file) for file in sorted(folder.iterdir())},
        config=msgspec.to_builtins(shape) | live, training={"model": Path(model.name).name}, parity=parity, speed=speed,
    )  # fmt: skip


def _written(wanted: Wanted, graph: str, plan: GraphPlan, made: Sequence[str]) -> dict[str, Path]:
    """Write a graph's variants: each one's file. One that it has not of its own is its int8 or float form."""
    files: dict[str, Path] = {}
    for variant in made:
        own = variant if variant in plan.writers else "int8" if variant == "int4" and "int8" in plan.writers else "fp32"
        if graph != "step" and variant == "torchscript":
            continue
        kept = wanted.folder if variant in wanted.variants else wanted.scratch
        path = kept / FILES[own].format(graph)
        if not path.exists():
            plan.writers[own](path)
        files[variant] = path
    return files


def _timed(graph: Graph, shape: Shape) -> dict[str, float]:
    """Milliseconds of a step on this machine and one thread, for a take with guidance, 300 columns heard."""
    rows, heard = 2, min(300, shape.positions - 1)
    context = Context(graph, step_inputs(shape, heard + 1), rows)
    text = np.zeros((rows, shape.heads, 16, shape.size), np.float32)
    context.fix(
        heard=np.ones((rows, 16), np.int32),
        **{each.name: text for each in step_inputs(shape) if each.name.startswith("cross_")},
    )
    codes, steer = np.zeros((rows, 1, shape.books), np.int64), np.zeros((shape.layers, rows, shape.width), np.float32)
    spent_ms = []
    for _ in range(TIMED_STEPS):
        context.length = heard
        start_ns = time.perf_counter_ns()
        context.hear(1, codes=codes, position=np.array([heard]), steer=steer)
        spent_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
    p50, p99 = np.percentile(spent_ms[TIMED_STEPS // 10 :], (50, 99))
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def _words(figures: Mapping[str, Any]) -> str:
    parts = []
    for name, value in figures.items():
        parts.append(f"largest {name} {max(value.values())}" if isinstance(value, Mapping) else f"{name} {value}")
    return ", ".join(parts)
