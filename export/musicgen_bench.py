"""How fast a decoder of MusicGen's shape steps here: ours against transformers, and against the memory's own limit.

Timing needs no trained weights, so they are random. A step reads all weights once and the context's keys and values;
the time that this many bytes take to be read, measured in the same run, is what no step can be quicker than. Where
others keep the machine busy, the CPU's time of a step on one thread says more than the clock's.

    python -m export.musicgen_bench [small|medium|large] [--threads 1 2] [--context 300] [--theirs fp32 bf16] [--json]
    python -m export.musicgen_bench small --devices cuda cpu      # the step as TorchScript alone

`sideman bench musicgen` runs it, and reads its lines of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import SidemanError
from engines.musicgen.delay import delays_of
from engines.musicgen.shape import VERSION, Shape, step_inputs
from engines.runtime import Graph, open_graph
from engines.runtime.context import Context
from export.musicgen_graphs import BITS
from export.musicgen_step import HEADS_BITS, step_outputs, write_step
from export.nbits import BLOCKS

SIZES = {"small": (24, 1024, 16), "medium": (48, 1536, 24), "large": (48, 2048, 32), "tiny": (2, 64, 4)}
"""Layers, width, heads of facebook/musicgen-*; tiny says nothing, in no time."""

STEPS, THEIR_STEPS, WARM = 60, 12, 5
TEXT = 16
"""Tokens of a prompt."""

READ_BYTES, READS = 1 << 28, 12


@dataclass(frozen=True, slots=True)
class Timing:
    """A decoder's step. what: whose, in which form, on how many threads

    best_ms, p50_ms: of a step, by the clock; cpu_ms: of all threads, the median
    bytes: that it has to read; limit_ms: to read these, on any number of threads; 0: of another memory than the CPU's
    """

    what: str
    threads: int
    best_ms: float
    p50_ms: float
    cpu_ms: float
    bytes: int
    limit_ms: float

    @property
    def share(self) -> float:
        """Of the memory's limit, by the median; 1 could not be quicker."""
        return self.limit_ms / self.p50_ms

    @property
    def steps_s(self) -> float:
        """A second, by the median."""
        return 1e3 / self.p50_ms

    def __str__(self) -> str:
        said = (
            f"{self.what}, {self.threads} threads: {self.steps_s:.1f} steps/s (p50 {self.p50_ms:.1f} ms, best "
            f"{self.best_ms:.1f}, CPU {self.cpu_ms:.1f}), {self.bytes / 1e6:.0f} MB a step"
        )
        if not self.limit_ms:
            return said
        limit = f"{1e3 / self.limit_ms:.0f}/s: {self.share:.0%} of it, by CPU {self.limit_ms / self.cpu_ms:.0%}"
        return f"{said}, limit {limit}"


def shape_of_size(size: str) -> Shape:
    """MusicGen's, of that size."""
    layers, width, heads = SIZES[size]
    return Shape(
        version=VERSION, layers=layers, width=width, heads=heads, books=4, vocabulary=2048, delays=delays_of(4),
        channels=1, rate_hz=32_000, hop=640, positions=1503, left=16, right=1, tokens_max=256, model_hash="0" * 64,
    )  # fmt: skip


def random_decoder(shape: Shape) -> Any:
    """A MusicgenForCausalLM of random weights."""
    import torch
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    config = MusicgenDecoderConfig(
        num_hidden_layers=shape.layers, hidden_size=shape.width, num_attention_heads=shape.heads,
        ffn_dim=4 * shape.width, vocab_size=shape.vocabulary, num_codebooks=shape.books,
    )  # fmt: skip
    torch.manual_seed(0)
    return MusicgenForCausalLM(config).eval().requires_grad_(False)


def read_bytes_s(threads: int) -> float:
    """Bytes a second that so many threads read from memory together, at best, in the time that they have the CPU."""
    rates: list[list[float]] = [[] for _ in range(threads)]

    def read(own: list[float]) -> None:
        array = np.ones(READ_BYTES // 4, np.float32)
        for _ in range(READS):
            start_s = time.thread_time()
            array.sum()
            own.append(READ_BYTES / (time.thread_time() - start_s))

    workers = [threading.Thread(target=read, args=(own,)) for own in rates]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(max(own) for own in rates)


def timings(
    size: str = "small", variants: Sequence[str] = ("int4", "int8"), threads: Sequence[int] = (1, 2), *,
    rows: int = 2, context: int = 300, theirs: Sequence[str] = ("fp32", "bf16"),
) -> Iterator[Timing]:  # fmt: skip
    """Ours in each variant, then transformers' own; rows: 2 is one take with guidance."""
    shape = shape_of_size(size)
    decoder = random_decoder(shape)
    fastest = max(read_bytes_s(count) for count in threads)
    kept = 2 * 4 * shape.layers * shape.width * rows * context
    with tempfile.TemporaryDirectory() as folder:
        for variant in variants:
            path = Path(folder) / f"{variant}.onnx"
            write_step(decoder, shape, path, BITS[variant])
            read = _weights(decoder, variant) + kept
            for count in threads:
                graph = open_graph(path, tuple(t.name for t in step_inputs(shape)),
                                   tuple(t.name for t in step_outputs(shape)), count)  # fmt: skip
                spent = ours_ms(graph, shape, rows, context)
                yield Timing(f"ours, {variant}", count, *spent, read, 1e3 * read / fastest)
            path.unlink()
    for variant in theirs:
        read = (_weights(decoder, "fp32") + kept) // (1 if variant == "fp32" else 2)
        for count in threads:
            spent = theirs_ms(decoder, variant, rows, context, count)
            yield Timing(f"transformers, {variant}", count, *spent, read, 1e3 * read / fastest)


def device_timings(size: str, devices: Sequence[str], rows: int = 2, context: int = 300) -> Iterator[Timing]:
    """The step as TorchScript on devices, in the precision that each has by itself; the CPU's part is one thread's."""
    from engines.runtime.torchscript import TorchScriptGraph
    from export.musicgen_script import write_script

    shape = shape_of_size(size)
    decoder = random_decoder(shape)
    kept = 2 * 4 * shape.layers * shape.width * rows * context
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.ts"
        write_script(decoder, shape, path)
        for device in devices:
            graph = TorchScriptGraph(path, tuple(each.name for each in step_inputs(shape)), device)
            form = "bf16" if graph.half else "fp32"
            read = (_weights(decoder, "fp32") + kept) // (2 if graph.half else 1)
            yield Timing(f"torchscript on {device}, {form}", 1, *ours_ms(graph, shape, rows, context), read, 0.0)


def ours_ms(graph: Graph, shape: Shape, rows: int, context: int) -> tuple[float, float, float]:
    """Best and median of a step after `context` columns, and the median of its CPU time."""
    held = Context(graph, step_inputs(shape, context + 1), rows)
    text = np.zeros((rows, shape.heads, TEXT, shape.size), np.float32)
    cross = {each.name: text for each in step_inputs(shape) if each.name.startswith("cross_")}
    held.fix(heard=np.ones((rows, TEXT), np.int32), **cross)
    codes, steer = np.zeros((rows, 1, shape.books), np.int64), np.zeros((shape.layers, rows, shape.width), np.float32)

    def step() -> None:
        held.length = context
        held.hear(1, codes=codes, position=np.array([context]), steer=steer)

    return _measured(step, STEPS)


def theirs_ms(decoder: Any, variant: str, rows: int, context: int, threads: int) -> tuple[float, float, float]:
    """The same of transformers' decoder with its own cache, as its generate calls it."""
    import torch

    torch.set_num_threads(threads)
    network = decoder.to(torch.bfloat16 if variant == "bf16" else torch.float32)
    config = network.config
    states = torch.zeros(rows, TEXT, config.hidden_size, dtype=network.dtype)
    codes = torch.zeros(rows * config.num_codebooks, context, dtype=torch.int64)
    with torch.inference_mode():
        past = network(codes, encoder_hidden_states=states, use_cache=True).past_key_values

        def step() -> None:
            network(codes[:, :1], encoder_hidden_states=states, past_key_values=past, use_cache=True)

        return _measured(step, THEIR_STEPS)


def _weights(decoder: Any, variant: str) -> int:
    """Bytes of weights that a step reads: products of a variant with their scales, the rest in float."""
    total = 0.0
    for name, each in decoder.named_parameters():
        # Of the tables a step looks up a few rows; a text's keys and values are worked out once a prompt.
        if "embed_tokens" in name or "encoder_attn.k_proj" in name or "encoder_attn.v_proj" in name:
            continue
        bits = BITS[variant] if each.dim() > 1 else 0
        bits = HEADS_BITS if bits and "lm_heads" in name else bits
        total += each.numel() * ((bits / 8 + 4 / BLOCKS[bits]) if bits else 4)
    return int(total)


def _measured(step: Callable[[], None], steps: int) -> tuple[float, float, float]:
    spent_ms, cpu_ms = [], []
    for _ in range(WARM + steps):
        start_s, cpu_s = time.perf_counter(), time.process_time()
        step()
        spent_ms.append((time.perf_counter() - start_s) * 1e3)
        cpu_ms.append((time.process_time() - cpu_s) * 1e3)
    return min(spent_ms[WARM:]), float(np.median(spent_ms[WARM:])), float(np.median(cpu_ms[WARM:]))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print, ours as a ratio of theirs as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", nargs="?", default="small", choices=SIZES)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--variants", nargs="+", default=["int4", "int8"], choices=BITS)
    parser.add_argument("--context", type=int, default=300)
    parser.add_argument("--theirs", nargs="*", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument(
        "--devices", nargs="+", default=[], help="auto, cpu, cuda, mps: torchscript there, nothing else"
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each timing, and nothing else")
    args = parser.parse_args(words)
    from engines.runtime.torchscript import device_here

    try:
        devices = [device_here(each) for each in args.devices]
    except SidemanError as error:
        parser.error(str(error))
    found: list[Timing] = []
    for each in (
        device_timings(args.size, devices, context=args.context)
        if devices
        else timings(args.size, args.variants, args.threads, context=args.context, theirs=args.theirs)
    ):
        found.append(each)
        print(json.dumps(asdict(each)) if args.json else each, flush=True)
    if args.json:
        return
    for own in (each for each in found if each.what.startswith("ours")):
        for other in (each for each in found if not each.what.startswith("ours") and each.threads == own.threads):
            ratio, cpu = other.p50_ms / own.p50_ms, other.cpu_ms / own.cpu_ms
            print(f"{own.what}, {own.threads} threads: {ratio:.1f}x {other.what}, by CPU {cpu:.1f}x")


if __name__ == "__main__":
    main()
