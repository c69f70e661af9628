"""The codec at play: frames of codes to sound, also chunk by chunk as they come, and sound to codes.

A codec that decodes hears a few frames to both sides of what it says. A chunk that is decoded with so many around it
says what the whole would say; how many the export has measured (Shape.left, Shape.right).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.audio import Frames
from engines.musicgen.delay import Codes
from engines.musicgen.shape import Shape
from engines.runtime import Graph

CHUNK = 250
"""Frames that are decoded together where all are there: 5 s."""

FRAMES_MIN = 8
"""The graphs' paddings reflect what is there, and need as much; less is filled up with the last frame again."""


class Codec:
    """A model's codec. decode: codes int64 [B, books, T] -> [B, 1, T * hop]; encode: the other way."""

    def __init__(self, shape: Shape, decode: Graph, encode: Graph) -> None:
        self.shape, self._decode, self._encode = shape, decode, encode

    def sound(self, codes: Codes) -> Frames:
        """float32 [samples, channels] of codes [books, n]; as it is decoded offline, but for less than 1e-3 rms."""
        stream = CodecStream(self)
        parts = [stream.put(codes[:, first : first + CHUNK]) for first in range(0, codes.shape[1], CHUNK)]
        return np.concatenate([*parts, stream.end()])

    def codes(self, sound: Frames) -> Codes:
        """int64 [books, n] of sound [samples, channels] at the model's rate: its whole frames, n = samples // hop."""
        shape = self.shape
        count = len(sound) // shape.hop
        if not count:
            return np.zeros((shape.books, 0), np.int64)
        if shape.channels == 1:
            sound = sound.mean(axis=1, keepdims=True)
        elif sound.shape[1] == 1:
            sound = np.repeat(sound, 2, axis=1)
        whole = max(count, FRAMES_MIN) * shape.hop
        heard = np.zeros((shape.channels, 1, whole), np.float32)
        heard[:, 0, : count * shape.hop] = sound[: count * shape.hop].T
        (codes,) = self._encode(audio=heard)  # [channels, books of one, frames]
        return np.ascontiguousarray(codes.transpose(1, 0, 2).reshape(shape.books, -1)[:, :count])

    def chunk(self, codes: Codes, first: int, count: int) -> Frames:
        """The samples of `count` frames from `first` on, decoded with all that is given around them."""
        shape = self.shape
        given = codes.shape[1]
        if given < FRAMES_MIN:
            codes = np.concatenate([codes, np.repeat(codes[:, -1:], FRAMES_MIN - given, axis=1)], axis=1)
        each = codes.reshape(-1, shape.channels, codes.shape[1]).transpose(1, 0, 2)
        (audio,) = self._decode(codes=np.ascontiguousarray(each))
        return np.ascontiguousarray(audio[:, 0, first * shape.hop : (first + count) * shape.hop].T)


class CodecStream:
    """Sound as frames come: each put says the samples that are certain by now."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._kept: NDArray[np.int64] = np.zeros((codec.shape.books, 0), np.int64)
        self._said = 0  # frames of _kept whose samples have been said

    def put(self, codes: Codes) -> Frames:
        """float32 [samples, channels] that are new, of codes [books, n] that follow; some of the last ones wait."""
        self._kept = np.concatenate([self._kept, codes], axis=1)
        return self._say(self._kept.shape[1] - self._codec.shape.right)

    def end(self) -> Frames:
        """The rest: nothing follows."""
        return self._say(self._kept.shape[1])

    def _say(self, until: int) -> Frames:
        shape = self._codec.shape
        if until <= self._said:
            return np.zeros((0, shape.channels), np.float32)
        first = max(0, self._said - shape.left)
        said = self._codec.chunk(self._kept[:, first:], self._said - first, until - self._said)
        gone = max(0, until - shape.left)
        self._kept, self._said = self._kept[:, gone:], until - gone
        return said
