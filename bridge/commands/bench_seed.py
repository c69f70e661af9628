"""The seed's way of making a bar, for `sideman bench`: keras predict once for each of the sixteen steps.

Run as `python -m bridge.commands.bench_seed`; prints the seconds of each bar as JSON. The network is of the
seed's shape (two LSTM layers of 384, 129 tokens) with fresh weights: how long it takes does not depend on them.
"""

from __future__ import annotations

import json
import os
import time

BARS = 6
STEPS = 16
TOKENS = 129
STYLES = 18
UNITS = 384
WIDTH = 128


def main() -> None:
    """Measure, print."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras
    import numpy as np

    tokens = keras.Input((STEPS,), dtype="int32")
    style = keras.Input((STYLES,))
    positions = keras.ops.arange(STEPS)
    x = keras.layers.Embedding(TOKENS, WIDTH)(tokens) + keras.layers.Embedding(STEPS, WIDTH)(positions)[None]
    x = x + keras.layers.Dense(WIDTH)(style)[:, None, :]
    for _ in range(2):
        x = keras.layers.LSTM(UNITS, return_sequences=True)(x)
    model = keras.Model([tokens, style], keras.layers.Dense(TOKENS)(x))
    random = np.random.default_rng(0)
    bar, one_style = np.zeros((1, STEPS), np.int32), np.zeros((1, STYLES), np.float32)
    took_s = []
    for _ in range(BARS):
        before_s = time.perf_counter()
        for step in range(STEPS):
            logits = model.predict([bar, one_style], verbose=0)[0, step].astype(np.float64)
            probabilities = np.exp(logits - logits.max())
            bar[0, step] = random.choice(TOKENS, p=probabilities / probabilities.sum())
        took_s.append(time.perf_counter() - before_s)
    print(json.dumps(took_s[1:]))


if __name__ == "__main__":
    main()
