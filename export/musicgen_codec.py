"""EnCodec (Défossez et al., arXiv 2210.13438) written as graphs: codes to sound, and sound to codes.

transformers' modules work their paddings out with tensors; where sound is a whole number of frames long, as here, they
are the plain numbers that are written here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Tensor
from engines.errors import SidemanError
from engines.musicgen.shape import Shape
from export.musicgen_step import numbers
from export.writer import Writer


def codec_tensors(shape: Shape) -> tuple[Tensor, Tensor]:
    """codes int64 [B, books, T], audio [B, 1, T * hop]: of one channel."""
    return Tensor("codes", "int64", (-1, shape.books // shape.channels, -1)), Tensor("audio", "float32", (-1, 1, -1))


def write_decode(codec: Any, shape: Shape, path: Path) -> None:
    """Codes to sound. Raises SidemanError for a codec that is not MusicGen's kind."""
    w, (codes, audio) = Writer(), codec_tensors(shape)
    parts = [
        w.table(w.op("Gather", "codes", w.weight(np.array(book)), axis=1), table)
        for book, table in enumerate(_tables(codec, shape))
    ]
    x = parts[0]
    for part in parts[1:]:
        x = w.op("Add", x, part)
    x = _layers(w, w.op("Transpose", x, perm=[0, 2, 1]), codec.decoder.layers)
    w.save(path, (codes,), (audio,), [x])


def write_encode(codec: Any, shape: Shape, path: Path) -> None:
    """Sound to codes: each book the nearest vector to what the ones before have left. Raises SidemanError."""
    w, (codes, audio) = Writer(), codec_tensors(shape)
    left = w.op("Transpose", _layers(w, "audio", codec.encoder.layers), perm=[0, 2, 1])
    found = []
    for table in _tables(codec, shape):
        # Of the distance |left - vector|^2 the length of `left` is the same for all vectors.
        twice = w.op("MatMul", left, w.weight(2 * table.T))
        near = w.op("Sub", twice, w.weight(np.square(table).sum(1)))
        index = w.op("ArgMax", near, axis=-1, keepdims=0)
        left = w.op("Sub", left, w.table(index, table))
        found.append(w.op("Unsqueeze", index, w.weight(np.array([1]))))
    w.save(path, (audio,), (codes,), [w.op("Concat", *found, axis=1)])


def _tables(codec: Any, shape: Shape) -> list[NDArray[np.float32]]:
    config, books = codec.config, shape.books // shape.channels
    if config.norm_type != "weight_norm" or config.normalize or config.chunk_length_s is not None:
        raise SidemanError("the codec normalises over time or cuts sound into chunks; MusicGen's kind does neither")
    if config.audio_channels != 1:
        raise SidemanError(f"the codec has {config.audio_channels} channels; MusicGen's has one, also in stereo")
    if len(codec.quantizer.layers) < books:
        raise SidemanError(f"the codec has {len(codec.quantizer.layers)} codebooks, the decoder asks for {books}")
    return [numbers(layer.codebook.embed) for layer in codec.quantizer.layers[:books]]


def _layers(w: Writer, x: str, layers: Iterable[Any]) -> str:
    """x [B, C, T] through transformers' SEANet layers."""
    from transformers.models.encodec import modeling_encodec as theirs

    for layer in layers:
        if isinstance(layer, theirs.EncodecConv1d):
            x = _conv(w, x, layer)
        elif isinstance(layer, theirs.EncodecConvTranspose1d):
            x = _transposed(w, x, layer)
        elif isinstance(layer, theirs.EncodecResnetBlock):
            x = w.op("Add", _layers(w, x, [layer.shortcut]), _layers(w, x, layer.block))
        elif isinstance(layer, theirs.EncodecLSTM):
            x = _lstm(w, x, layer.lstm)
        elif type(layer).__name__ == "ELU":
            x = w.op("Elu", x, alpha=float(layer.alpha))
        elif type(layer).__name__ != "Identity":
            raise SidemanError(f"the codec has a layer {type(layer).__name__}, which cannot be exported")
    return x


def _conv(w: Writer, x: str, layer: Any) -> str:
    conv = layer.conv
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    extra = (kernel - 1) * dilation + 1 - stride
    right = 0 if layer.causal else extra // 2
    if extra:
        pads = w.weight(np.array([0, 0, extra - right, 0, 0, right]))
        x = w.op("Pad", x, pads, mode="reflect" if layer.pad_mode == "reflect" else "constant")
    weights = [w.weight(numbers(each)) for each in (conv.weight, conv.bias) if each is not None]
    return w.op("Conv", x, *weights, strides=[stride], dilations=[dilation])


def _transposed(w: Writer, x: str, layer: Any) -> str:
    conv = layer.conv
    extra = conv.kernel_size[0] - conv.stride[0]
    right = math.ceil(extra * layer.trim_right_ratio) if layer.causal else extra // 2
    weights = [w.weight(numbers(each)) for each in (conv.weight, conv.bias) if each is not None]
    return w.op("ConvTranspose", x, *weights, strides=[conv.stride[0]], pads=[extra - right, right])


def _lstm(w: Writer, x: str, lstm: Any) -> str:
    """Over time, beside its input."""
    y = x = w.op("Transpose", x, perm=[2, 0, 1])
    for number in range(lstm.num_layers):
        inner, own, *biases = (
            _gates(numbers(getattr(lstm, f"{kind}_l{number}")))
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        weights = [w.weight(each[None]) for each in (inner, own, np.concatenate(biases))]
        said = w.ops("LSTM", 1, y, *weights, hidden_size=lstm.hidden_size)[0]
        y = w.op("Squeeze", said, w.weight(np.array([1])))
    return w.op("Transpose", w.op("Add", y, x), perm=[1, 2, 0])


def _gates(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """[4 H, ...] in ONNX's order of gates (input, output, forget, cell), from torch's (input, forget, cell, output)."""
    first, forget, cell, output = np.split(weight, 4)
    return np.concatenate([first, output, forget, cell])
