"""The five graphs of a MusicGen: their tensors, and how each of their variants is written.

text:   ids int64 [B, S] -> states [B, S, d], once a prompt
cross:  states -> cross_key0, cross_value0, ... [B, heads, S, size], once a prompt
step:   engines.musicgen.shape.step_inputs -> logits [B, books, vocabulary]; several columns at once are a prefill
decode: codes int64 [B, books, T] -> audio [B, 1, T * hop]; encode: the other way

The codec has only its float form, which is all forms' form; int4 is the step's affair, the text's is int8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.bundle import Tensor
from engines.musicgen.shape import Shape, step_inputs
from export.musicgen_codec import codec_tensors, write_decode, write_encode
from export.musicgen_step import cross_tensors, step_outputs, write_cross, write_step
from export.musicgen_text import write_text

BITS = {"fp32": 0, "int8": 8, "int4": 4}


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """A graph: its tensors, and a writer for each variant that is not another's file."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    writers: dict[str, Callable[[Path], None]]


def plans(network: Any, shape: Shape) -> dict[str, GraphPlan]:
    """The graphs of a MusicgenForConditionalGeneration."""
    from export.musicgen_script import write_script

    ids, states = Tensor("ids", "int64", (-1, -1)), Tensor("states", "float32", (-1, -1, shape.width))
    codes, audio = codec_tensors(shape)
    decoder, codec = network.decoder, network.audio_encoder
    return {
        "text": GraphPlan(
            (ids,), (states,),
            {
                "fp32": lambda path: write_text(network, shape, path),
                "int8": lambda path: write_text(network, shape, path, 8),
            },
        ),
        "cross": GraphPlan(
            (states,), cross_tensors(shape),
            {
                "fp32": lambda path: write_cross(decoder, shape, path),
                "int8": lambda path: write_cross(decoder, shape, path, 8),
            },
        ),
        "step": GraphPlan(
            step_inputs(shape), step_outputs(shape),
            {
                "fp32": lambda path: write_step(decoder, shape, path),
                "int8": lambda path: write_step(decoder, shape, path, 8),
                "int4": lambda path: write_step(decoder, shape, path, 4),
                "torchscript": lambda path: write_script(decoder, shape, path),
            },
        ),
        "decode": GraphPlan((codes,), (audio,), {"fp32": lambda path: write_decode(codec, shape, path)}),
        "encode": GraphPlan((audio,), (codes,), {"fp32": lambda path: write_encode(codec, shape, path)}),
    }  # fmt: skip
