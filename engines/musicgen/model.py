"""MusicgenModel: the graphs of a bundle, and prompts as its decoder hears them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.errors import BundleError, SidemanError
from engines.musicgen.codec import Codec
from engines.musicgen.shape import Shape, shape_of, step_inputs
from engines.musicgen.tokens import Tokens
from engines.runtime import Graph
from engines.runtime.context import Context

TOKENS_FILE = "tokens.json"

CHARACTERS_MAX = 2000
"""Of a prompt; longer ones are no description of music."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A text as the decoder's layers attend to it.

    cross: key and value of layer 0, of layer 1, ..., float32 [heads, S, size]; no text is zeros, S = 1
    """

    text: str
    cross: tuple[NDArray[np.float32], ...]

    @property
    def length(self) -> int:
        """Tokens."""
        return int(self.cross[0].shape[1])


class SteeredModel(Protocol):
    """What the generator and the engine ask of a model: another one than MusicGen needs no more to be steered by them.

    Its layers are those that `shape` counts; its step's graph adds `steer` after each of them.
    """

    shape: Shape
    codec: Codec

    def prompt(self, text: str) -> Prompt:
        """A text as the layers attend to it. Raises SidemanError for one that is too long."""
        ...

    def context(self, rows: int, window: int) -> Context:
        """The step's graph with empty buffers for so many rows and positions (shape.step_inputs says what it takes)."""
        ...

    def hear_prompts(self, context: Context, prompts: Sequence[Prompt]) -> None:
        """Let each row of a context attend to its prompt from now on."""
        ...


class MusicgenModel:
    """A SteeredModel: a bundle's, opened."""

    def __init__(self, shape: Shape, tokens: Tokens, graphs: dict[str, Graph]) -> None:
        """graphs: text, cross, step, decode, encode."""
        self.shape, self.tokens = shape, tokens
        self._text, self._cross, self._step = graphs["text"], graphs["cross"], graphs["step"]
        self.codec = Codec(shape, graphs["decode"], graphs["encode"])

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = "auto", threads: int = 1, device: str = "auto") -> Self:
        """Open the graphs. runtime: a variant of the step; the others are of it too where they have it.

        device: where the step runs as TorchScript, which cuda and mps ask for; the others, and ONNX, are the CPU's.
        Raises BundleError, and SidemanError for a device that is not here or cannot run that form.
        """
        if device not in ("auto", "cpu") and runtime != "torchscript":
            if runtime != "auto":
                raise SidemanError(f"{runtime} runs on the CPU alone: on {device} the step runs as torchscript")
            runtime = "torchscript"
        shape = shape_of(bundle.manifest.config, bundle.path)
        if TOKENS_FILE not in bundle.manifest.sha256:
            raise BundleError(f"{bundle.path} has no {TOKENS_FILE}; export the bundle again")
        graphs = {}
        for name in ("text", "cross", "step", "decode", "encode"):
            entry = bundle.manifest.graphs.get(name)
            has = entry is not None and (name == "step" or runtime in entry.files)
            graphs[name] = bundle.graph(name, runtime if has else "auto", threads, device)
        return cls(shape, Tokens.load(bundle.path / TOKENS_FILE), graphs)

    def prompt(self, text: str) -> Prompt:
        """A prompt's keys and values; "" is none. Raises SidemanError for one that is too long."""
        if len(text) > CHARACTERS_MAX:
            raise SidemanError(
                f"the prompt has {len(text):,} characters, at most {CHARACTERS_MAX:,} are read: describe the music in "
                "a line or two"
            )
        shape = self.shape
        numbers = self.tokens(text) if text.strip() else []
        if len(numbers) > shape.tokens_max:
            raise SidemanError(
                f"the prompt has {len(numbers)} tokens, at most {shape.tokens_max} are read: describe the music in a "
                "line or two"
            )
        if not numbers:
            nothing = np.zeros((shape.heads, 1, shape.size), np.float32)
            return Prompt("", (nothing,) * (2 * shape.layers))
        (states,) = self._text(ids=np.array([numbers], np.int64))
        return Prompt(text, tuple(each[0].copy() for each in self._cross(states=states)))

    def context(self, rows: int, window: int) -> Context:
        """Empty buffers of the step's graph for so many rows and positions."""
        return Context(self._step, step_inputs(self.shape, window), rows)

    def hear_prompts(self, context: Context, prompts: Sequence[Prompt]) -> None:
        """Let each row of a context attend to its prompt from now on."""
        longest = max(prompt.length for prompt in prompts)
        heard = np.zeros((len(prompts), longest), np.int32)
        for row, prompt in enumerate(prompts):
            heard[row, : prompt.length] = 1
        fixed = {}
        for number in range(2 * self.shape.layers):
            layer = np.zeros((len(prompts), self.shape.heads, longest, self.shape.size), np.float32)
            for row, prompt in enumerate(prompts):
                layer[row, :, : prompt.length] = prompt.cross[number]
            fixed[f"cross_{('key', 'value')[number % 2]}{number // 2}"] = layer
        context.fix(heard=heard, **fixed)
