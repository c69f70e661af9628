"""Weights of a few bits, in the layout of com.microsoft.MatMulNBits.

A row's weights are cut into blocks with a scale each: w = scale * (q - middle), the block's largest weight at the end
of the range, the others rounded to the nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError

BLOCKS = {8: 128, 4: 64}
"""Weights that share a scale, by bits."""


def block_of(columns: int, longest: int) -> int:
    """The longest block, a power of two from 16 on, that a row of so many weights is a multiple of."""
    block = longest
    while block > 16 and columns % block:
        block //= 2
    if columns % block:
        raise SidemanError(f"a width of {columns} is no multiple of 16, as weights of a few bits ask for; use onnx")
    return block


def rounded(weight: NDArray[np.float32], bits: int, block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A weight [N, K] as whole numbers [N, K / block, block] and scales [N, K / block]."""
    middle = 1 << (bits - 1)
    blocks = weight.reshape(len(weight), -1, block)
    at = np.abs(blocks).argmax(-1)[..., None]
    scales = np.take_along_axis(blocks, at, -1) / np.float32(-middle)
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    numbers = np.clip(np.rint(blocks * inverse) + middle, 0, 2 * middle - 1).astype(np.uint8)
    return numbers, scales[..., 0]


def packed(numbers: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """[N, blocks, block * bits / 8]: of two numbers of four bits the first is the lower half of a byte."""
    if bits == 8:
        return numbers
    return (numbers[..., 0::2] | (numbers[..., 1::2] << 4)).astype(np.uint8)


def dense(numbers: NDArray[np.uint8], scales: NDArray[np.float32], bits: int) -> NDArray[Any]:
    """The weight [N, K] that is meant."""
    middle = np.float32(1 << (bits - 1))
    return ((numbers.astype(np.float32) - middle) * scales[..., None]).reshape(len(numbers), -1)
