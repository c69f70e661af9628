"""Shape: what a bundle's manifest says of its MusicGen, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from engines.bundle import Tensor
from engines.errors import BundleError
from engines.musicgen.delay import Delay
from engines.runtime.context import LAST, TOTAL

VERSION = 1
"""Of the graphs; a bundle of another one is not played."""

Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Few = Annotated[int, msgspec.Meta(ge=1, le=512)]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest's config.

    layers, width, heads:  of the decoder
    books, vocabulary:     codebooks, codes of each; the padding is the number `vocabulary`
    delays:                of each codebook, in columns
    channels:              1, or 2: their codebooks alternate, and the codec plays each on its own
    rate_hz, hop:          samples a second, samples of a frame of codes
    positions:             columns that the model was trained to count to
    left, right:           frames around a chunk with which the codec says what it says offline
    tokens_max:            of a prompt
    model_hash:            SHA-256 of the decoder, which directions name
    """

    version: int
    layers: Few
    width: Count
    heads: Few
    books: Few
    vocabulary: Count
    delays: tuple[Annotated[int, msgspec.Meta(ge=0, le=512)], ...]
    channels: Annotated[int, msgspec.Meta(ge=1, le=2)]
    rate_hz: Annotated[int, msgspec.Meta(ge=8_000, le=192_000)]
    hop: Count
    positions: Count
    left: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    right: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    tokens_max: Few
    model_hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

    @property
    def frame_rate_hz(self) -> float:
        """Frames of codes in a second."""
        return self.rate_hz / self.hop

    @property
    def delay(self) -> Delay:
        """Its pattern."""
        return Delay(self.delays, self.vocabulary)

    @property
    def size(self) -> int:
        """Of a head."""
        return self.width // self.heads


def shape_of(config: dict[str, Any], where: Path) -> Shape:
    """The shape in a manifest's config. Raises BundleError."""
    if config.get("version") != VERSION:
        raise BundleError(f"{where} was exported by another version; export it again")
    try:
        shape = msgspec.convert(config, Shape)
    except msgspec.ValidationError as error:
        raise BundleError(f"{where}: config: {error}; export the bundle again") from error
    if len(shape.delays) != shape.books or shape.width % shape.heads or shape.books % shape.channels:
        raise BundleError(f"{where}: config: its codebooks, heads and width do not fit together; export it again")
    return shape


def step_inputs(shape: Shape, window: int = -1) -> tuple[Tensor, ...]:
    """Of the step's graph; window: positions that its buffers hold, -1 as it is in the manifest: any."""
    kept = ("key", "value")
    buffer = (-1, shape.heads, window, shape.size)
    text = (-1, shape.heads, -1, shape.size)
    return (
        Tensor("codes", "int64", (-1, -1, shape.books)),
        Tensor("position", "int64", (-1,)),
        Tensor("steer", "float32", (shape.layers, -1, shape.width)),
        Tensor("heard", "int32", (-1, -1)),
        Tensor(LAST, "int32", (-1,)),
        Tensor(TOTAL, "int32", ()),
        *(Tensor(f"{name}{layer}", "float32", buffer) for layer in range(shape.layers) for name in kept),
        *(Tensor(f"cross_{name}{layer}", "float32", text) for layer in range(shape.layers) for name in kept),
    )
