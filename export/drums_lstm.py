"""The seed's LSTM, from a training's folder to a Subject of export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.drums.lstm import GRAPH, INPUTS, OUTPUTS, STATES
from engines.runtime import Graph
from export.onnx import from_keras
from export.subject import GraphSubject, Subject
from offline.drums.dataset import DrumDataset
from offline.drums.lstm.data import Corpus, Sequences, chosen_pieces
from offline.drums.lstm.run import Hparams, LstmRun

LOGITS = "logits"


def subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """Load a run's folder, or one of its .keras or .h5 files.

    data: prepared data whose validation pieces give the steps of parity; None: random ones. Raises SidemanError.
    """
    run = LstmRun(checkpoint)
    network = run.network()
    from offline.drums.lstm import network as lstm_network

    hparams = run.hparams
    units, tokens = hparams.config.units, len(hparams.masks) + 1
    sequences = _sequences(hparams, data, steps)
    step = lstm_network.step(network)
    return Subject(
        engine="drums",
        kind="lstm",
        graphs={
            GRAPH: GraphSubject(
                inputs=tuple(
                    Tensor(name, "float32", (-1, units)) if name in STATES else Tensor(name, "int32", (-1,))
                    for name in INPUTS
                ),
                outputs=outputs_of(tokens, units),
                onnx=lambda path: from_keras(step, outputs_of(tokens, units), path),
                torchscript=None,
                reference={LOGITS: _reference(network, sequences)},
                probe=lambda graph: {LOGITS: _probe(graph, sequences, units)},
                distributions=lambda heads: heads,
            )
        },
        config=msgspec.to_builtins(run.settings()),
        sources=tuple(Source(each.name, each.licence, each.pieces) for each in hparams.sources),
        steps_from="random tokens" if data is None else f"validation pieces of {data.name}",
        training={
            "checkpoint": run.checkpoint.name,
            "steps": hparams.steps,
            "parameters": int(network.count_params()),
            **msgspec.to_builtins(hparams.config),
        },
        metrics=run.metrics(),
    )


def outputs_of(tokens: int, units: int) -> tuple[Tensor, ...]:
    """Logits, then the four new states."""
    return tuple(Tensor(name, "float32", (-1, tokens if name == LOGITS else units)) for name in OUTPUTS)


def _sequences(hparams: Hparams, data: Path | None, steps: int) -> Sequences:
    """Whole sequences of at least `steps` steps together, from validation pieces; random tokens where there are few."""
    vocabulary, bars = hparams.vocabulary(), hparams.config.context_bars
    parts: list[Sequences] = []
    if data is not None:
        where = data / "validation.npz"
        pieces = chosen_pieces(DrumDataset.load(where), hparams.config.sources, str(where))
        real = Corpus.of(pieces, vocabulary, hparams.styles).sequences(bars)
        parts.append(_rows(real, np.flatnonzero(real.weight.min(axis=1))))
    random = np.random.default_rng(0)
    made = tuple(
        random.integers(0, len(vocabulary), 16 * bars).astype(np.int32) for _ in range(1 + steps // (16 * bars))
    )
    styles = tuple(random.integers(0, len(hparams.styles), len(made)).tolist())
    parts.append(Corpus(made, styles, len(vocabulary)).sequences(bars))
    joined = Sequences(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("read", "say", "weight", "style")))
    return _rows(joined, np.arange(math.ceil(steps / (16 * bars))))


def _rows(sequences: Sequences, rows: NDArray[Any]) -> Sequences:
    return Sequences(sequences.read[rows], sequences.say[rows], sequences.weight[rows], sequences.style[rows])


def _reference(network: Any, sequences: Sequences) -> NDArray[np.float32]:
    from offline.drums.lstm.fit import inputs

    logits = network.predict(inputs(sequences.read, sequences.style), verbose=0)
    return np.asarray(logits, np.float32).reshape(-1, logits.shape[-1])


def _probe(graph: Graph, sequences: Sequences, units: int) -> NDArray[np.float32]:
    """One sequence after another at batch 1, as it is played."""
    said: list[NDArray[Any]] = []
    for tokens, style in zip(sequences.read, sequences.style, strict=True):
        states = [np.zeros((1, units), np.float32) for _ in STATES]
        for t, token in enumerate(tokens):
            values = {"token": token, "position": t % 16, "style": style[0]}
            logits, *states = graph(
                **{name: np.array([value], np.int32) for name, value in values.items()},
                **dict(zip(STATES, states, strict=True)),
            )
            said.append(logits)
    return np.concatenate(said)
