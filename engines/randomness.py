"""Random numbers that depend on where in the song they are used, not on what was drawn before.

A counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) lets any bar,
and any take of it, be made again without replaying the bars before it.
"""

from __future__ import annotations

import numpy as np


def generator(seed: int, bar: int, take: int = 0, stream: int = 0) -> np.random.Generator:
    """A generator for one use of randomness.

    seed: the set's or command's; bar: bar number in the song; take: 0, or the number of the retake;
    stream: tells several uses inside one bar apart. Any integers will do; 64 bits of each count.
    """
    counter = np.array([0, stream & _WORD, take & _WORD, bar & _WORD], np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed & _WORD, 0], np.uint64), counter=counter))


_WORD = (1 << 64) - 1
