"""Parity of a MusicGen's graphs: against transformers' own network, its layers steered by hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.musicgen.codec import Codec, CodecStream
from engines.musicgen.shape import Shape, step_inputs
from engines.runtime import Graph
from engines.runtime.context import Context
from export.parity import ParityError, divergence
from offline.steering.residual import watched

if TYPE_CHECKING:
    import torch

    Values = NDArray[np.float32]

POSITIONS, PREFILL = 64, 40
MAX_ABS = 1e-4
"""Of logits, fp32 and TorchScript."""

KL_MEAN_MAX = {"int8": 0.02, "int4": 0.25}
"""Nats by which the distribution of a code may differ on average."""

CHUNK_RMS = 1e-3
"""Of what is decoded in chunks against offline, as a share of the sound's own."""

LEFT, RIGHT = (16, 32, 64), (1, 2, 3, 4, 6, 8)
"""Frames of context that are tried."""

CHUNKS = (7, 12, 25, 1, 30, 10, 15)


class Steered:
    """Five settings of steer over 64 columns, and what the network says in them.

    Two rows side by side: the first with a text, the second without. Lengths are in those of each layer's own residual.
    """

    def __init__(self, network: Any, shape: Shape, ids: list[int], seed: int = 0) -> None:
        """ids: of a prompt."""
        import torch

        random = np.random.default_rng(seed)
        codes = random.integers(0, shape.vocabulary, (2, shape.books, POSITIONS))
        self.shape, self.columns = shape, shape.delay.laid(codes, POSITIONS)
        with torch.inference_mode():
            states = network.text_encoder(input_ids=torch.tensor([ids])).last_hidden_state
            projection = getattr(network, "enc_to_dec_proj", None)
            self.states = (states if projection is None else projection(states)).numpy()
        self._decoder = network.decoder
        lengths = self._lengths()
        vectors = random.standard_normal((shape.layers, POSITIONS, 2, shape.width)).astype(np.float32)
        vectors *= (lengths / np.linalg.norm(vectors, axis=-1).mean(axis=(1, 2)))[:, None, None, None]
        still = np.repeat(vectors[:, :1], POSITIONS, axis=1)
        middle = np.zeros_like(still)
        middle[shape.layers // 2] = still[shape.layers // 2]
        one = np.array([1.0, 0.0], np.float32)[:, None]
        fading = (0.998 ** np.arange(POSITIONS, dtype=np.float32))[None, :, None, None]
        self.settings: dict[str, Values] = {  # [layers, positions, rows, d]
            "none": np.zeros_like(still),
            "all layers, the row with text": 0.3 * still * one,
            "one layer": 1.0 * middle * one,
            "both rows, fading": 0.5 * still * fading,
            "another at each step": 0.2 * vectors,
        }
        self.meant = {name: self._said(steer) for name, steer in self.settings.items()}

    def said(self, graph: Graph, cross: Mapping[str, Values], name: str, together: int = 1) -> Values:
        """What a step's graph says, [n, rows, books, vocabulary]: after so many columns heard at once, and each other.

        cross: of one row
        """
        shape = self.shape
        context = Context(graph, step_inputs(shape, POSITIONS), 2)
        rows = {key: np.concatenate([array, np.zeros_like(array)]) for key, array in cross.items()}
        length = next(iter(rows.values())).shape[2]
        context.fix(heard=np.ones((2, length), np.int32), **rows)
        said = []
        for first in (0, *range(together, POSITIONS)):
            here = np.arange(first, first + 1 if first else together)
            codes = self.columns[:, :, here].transpose(0, 2, 1).copy()
            steer = np.ascontiguousarray(self.settings[name][:, first])
            said.append(context.hear(len(here), codes=codes, position=here, steer=steer)[0])
        return np.stack(said)

    def _lengths(self) -> Values:
        """[layers]: root mean square length of the residual, unsteered."""
        found: dict[int, float] = {}

        def seen(number: int, hidden: torch.Tensor) -> None:
            found[number] = float(hidden.square().sum(-1).mean().sqrt())

        with watched(self._decoder.model.decoder.layers, seen):
            self._logits()
        return np.array([found[number] for number in range(self.shape.layers)], np.float32)

    def _said(self, steer: Values) -> Values:
        import torch

        added = torch.from_numpy(np.ascontiguousarray(steer.transpose(0, 2, 1, 3)))  # [layers, rows, positions, d]
        with watched(self._decoder.model.decoder.layers, lambda number, hidden: hidden + added[number]):
            return self._logits()

    def _logits(self) -> Values:
        import torch

        states = torch.from_numpy(np.concatenate([self.states, np.zeros_like(self.states)]))
        ids = torch.from_numpy(self.columns).flatten(0, 1)
        with torch.inference_mode():
            logits = self._decoder(input_ids=ids, encoder_hidden_states=states, use_cache=False).logits
        logits = logits.reshape(2, self.shape.books, POSITIONS, self.shape.vocabulary)
        return np.ascontiguousarray(logits.permute(2, 0, 1, 3).numpy())


def step_figures(steered: Steered, variant: str, graphs: Mapping[str, Graph]) -> dict[str, Any]:
    """What the step's graph of a variant says against the network. graphs: cross, step. Raises ParityError."""
    outputs = graphs["cross"](states=steered.states)
    names = [each.name for each in step_inputs(steered.shape) if each.name.startswith("cross_")]
    cross = dict(zip(names, outputs, strict=True))
    said = {name: steered.said(graphs["step"], cross, name) for name in steered.settings}
    gaps = {name: float(np.abs(said[name] - meant).max()) for name, meant in steered.meant.items()}
    kl = max(float(divergence(meant, said[name]).mean()) for name, meant in steered.meant.items())
    if not all(np.isfinite(each).all() for each in said.values()):
        raise ParityError(f"step {variant} says numbers that are not finite")
    exact = variant not in KL_MEAN_MAX
    whole = steered.said(graphs["step"], cross, "none", together=PREFILL)
    prefill = float(np.abs(whole - said["none"][PREFILL - 1 :]).max())
    again = steered.said(graphs["step"], cross, "none")
    figures = {
        "positions": POSITIONS, "max_abs": {name: _short(gap) for name, gap in gaps.items()}, "kl_mean": _short(kl),
        "prefill_max_abs": _short(prefill), "same_again": bool(np.array_equal(again, said["none"])),
    }  # fmt: skip
    if exact and not max(gaps.values()) <= MAX_ABS:
        raise ParityError(f"step {variant} does not say what the network says: {max(gaps.values()):.3g} > {MAX_ABS:g}")
    if not exact and not kl <= KL_MEAN_MAX[variant]:
        raise ParityError(
            f"step {variant} is too far from the network: {kl:.3g} nats a code on average (bound "
            f"{KL_MEAN_MAX[variant]:g}); export with --formats onnx,int8"
        )
    return figures


def codec_figures(network: Any, shape: Shape, decode: Graph, encode: Graph) -> tuple[Shape, dict[str, Any]]:
    """The shape with the context that chunks need, and what the codec's graphs say. Raises ParityError."""
    import msgspec
    import torch

    random = np.random.default_rng(0)
    books = shape.books // shape.channels
    codes = random.integers(0, min(shape.vocabulary, network.audio_encoder.config.codebook_size), (books, sum(CHUNKS)))
    mono = msgspec.structs.replace(shape, channels=1, books=books, delays=shape.delays[:books])
    with torch.inference_mode():
        meant = network.audio_encoder.decode(torch.from_numpy(codes)[None, None], [None]).audio_values[0].numpy().T
    rms = float(np.sqrt(np.mean(np.square(meant, dtype=np.float64)))) or 1.0
    whole = Codec(mono, decode, encode).chunk(codes, 0, codes.shape[1])
    figures: dict[str, Any] = {"decode_max_abs": _short(float(np.abs(whole - meant).max())), "rms": _short(rms)}
    if not np.abs(whole - meant).max() <= MAX_ABS * max(1.0, rms):
        raise ParityError(f"decode does not say what the network says: {figures}")
    tried = []
    for left in LEFT:
        for right in RIGHT:
            around = msgspec.structs.replace(mono, left=left, right=right)
            tried.append((float(_chunked_error(Codec(around, decode, encode), codes, meant) / rms), left, right))
            if tried[-1][0] <= CHUNK_RMS:
                break
        if tried[-1][0] <= CHUNK_RMS:
            break
    error, left, right = tried[-1]
    if not error <= CHUNK_RMS:
        raise ParityError(
            f"decoded in chunks the codec is {error:.3g} rms off, also with {left} + {right} frames around"
        )
    figures |= {"chunk_rms": _short(error), "left": left, "right": right}
    figures |= {"chunk_rms_16_1": _short(next(each[0] for each in tried if each[1:] == (16, 1)))}
    sound = (0.3 * random.standard_normal((sum(CHUNKS) * shape.hop, 1))).astype(np.float32)
    figures["encode_same"] = _short(_encoded_same(network, Codec(mono, decode, encode), sound))
    if figures["encode_same"] < 0.99:
        raise ParityError(f"encode finds other codes than the network: {figures['encode_same']:.3g} are the same")
    return msgspec.structs.replace(shape, left=left, right=right), figures


def _chunked_error(codec: Codec, codes: NDArray[np.int64], meant: Values) -> float:
    """rms of the difference between what a stream of chunks says and the whole."""
    stream, first, parts = CodecStream(codec), 0, []
    for count in CHUNKS:
        parts.append(stream.put(codes[:, first : first + count]))
        first += count
    said = np.concatenate([*parts, stream.end()])
    return float(np.sqrt(np.mean(np.square(said - meant, dtype=np.float64))))


def _encoded_same(network: Any, codec: Codec, sound: Values) -> float:
    """Share of codes that are the network's own."""
    import torch

    audio = network.audio_encoder
    with torch.inference_mode():
        embedded = audio.encoder(torch.from_numpy(sound.T)[None])
        left, found = embedded, []
        for layer in audio.quantizer.layers[: codec.shape.books]:
            index = layer.encode(left)
            left = left - layer.decode(index)
            found.append(index[0].numpy())
    return float((np.stack(found) == codec.codes(sound)).mean())


def _short(value: float) -> float:
    return float(f"{value:.3g}")
