"""The groove model, from a training's folder to a Subject of export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.drums.bar import INSTRUMENTS, MASKS, Bar, hits
from engines.drums.features import AGREEMENTS, CANDIDATES, CONTEXT, NO_MUSIC, PAST
from engines.drums.groove import GrooveModel, mixture
from engines.drums.humaniser import AROUND, BACK, BINS, HEARD, MEANS, TEMPO
from engines.drums.model import ANY_STYLE, Controls
from engines.drums.writer import COEFFICIENTS
from engines.errors import SidemanError
from engines.music import Meter
from engines.runtime import Graph
from export.onnx import from_torch
from export.subject import GraphSubject, Heads, Subject
from export.torchscript import from_torch as script_from_torch
from offline.drums.dataset import DrumDataset

if TYPE_CHECKING:
    from torch import nn

Inputs = dict[str, NDArray[Any]]

LEAST = 1e-9
"""Probabilities are compared down to here; below, nobody hears the difference."""

PIECE_BARS = 16


def subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """Load a run's folder. data, steps: as for the lstm. Raises SidemanError."""
    from offline.drums.groove.checkpoint import load_checkpoint
    from offline.drums.groove.network import HumaniserModule

    step_network, humaniser_network, table = load_checkpoint(checkpoint)
    config = {key: table[key] for key in ("feature_version", "styles", "density_quantiles")}
    step, humaniser = step_network, HumaniserModule(humaniser_network).eval()
    controls = len(config["styles"])
    step_inputs = (
        Tensor("past", "int64", (-1, PAST)),
        Tensor("copies", "int64", (-1, CANDIDATES)),
        Tensor("agreement", "float32", (-1, CANDIDATES, AGREEMENTS)),
        Tensor("context", "float32", (-1, CONTEXT + controls + 6)),
    )
    feel_inputs = (
        Tensor("around", "int64", (-1, AROUND)),
        Tensor("heard", "float32", (-1, HEARD)),
        Tensor("means", "float32", (-1, MEANS)),
        Tensor("context", "float32", (-1, CONTEXT + controls + 3 + TEMPO)),
    )
    step_outputs = (
        Tensor("gate", "float32", (-1, CANDIDATES + 1)),
        Tensor("coefficients", "float32", (-1, COEFFICIENTS)),
    )
    feel_outputs = (Tensor("cumulative", "float32", (-1, 2, INSTRUMENTS, BINS)),)
    seen = _seen(_itself(step, step_inputs), _itself(humaniser, feel_inputs), config, data, steps)
    parameters = sum(each.numel() for network in (step_network, humaniser_network) for each in network.parameters())
    return Subject(
        engine="drums",
        kind="groove",
        graphs={
            "step": _graph(step, step_inputs, step_outputs, seen[0], _mixture(seen[0]["copies"])),
            "humaniser": _graph(humaniser, feel_inputs, feel_outputs, seen[1], _bins(seen[1]["around"])),
        },
        config=config,
        sources=tuple(Source(each["name"], each["licence"], each["pieces"]) for each in table["sources"]),
        steps_from="random bars" if data is None else f"validation pieces of {data.name}",
        training={"parameters": parameters, **_plain(table["config"])},
    )


def _plain(config: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(config)


def _graph(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    seen: Inputs,
    distributions: Callable[[Heads], Heads],
) -> GraphSubject:
    import torch

    example = [torch.from_numpy(seen[tensor.name][:2]) for tensor in inputs]
    names = [tensor.name for tensor in outputs]
    return GraphSubject(
        inputs=inputs,
        outputs=outputs,
        onnx=lambda path: from_torch(module, example, inputs, outputs, path),
        torchscript=lambda path: script_from_torch(module, example, path),
        reference=dict(zip(names, _itself(module, inputs)(**seen), strict=True)),
        probe=lambda graph: _probe(graph, seen, names),
        distributions=distributions,
    )


def _itself(module: nn.Module, inputs: tuple[Tensor, ...]) -> Graph:
    """The checkpoint's own network as a Graph."""
    import torch

    def run(**values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with torch.inference_mode():
            said = module(*(torch.from_numpy(np.ascontiguousarray(values[tensor.name])) for tensor in inputs))
        return tuple(each.numpy() for each in (said if isinstance(said, tuple) else (said,)))

    return run


def _seen(
    step: Graph, humaniser: Graph, config: dict[str, Any], data: Path | None, steps: int
) -> tuple[Inputs, Inputs]:
    """What the two graphs are shown over at least `steps` steps of pieces that are played and judged as when live."""
    shown: tuple[list[Inputs], list[Inputs]] = ([], [])

    def noting(graph: Graph, notes: list[Inputs]) -> Graph:
        def run(**values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
            notes.append(values)
            return graph(**values)

        return run

    model = GrooveModel(noting(step, shown[0]), noting(humaniser, shown[1]), config)
    counts = [0, 0]
    for number, (bars, controls) in enumerate(_pieces(data, config["styles"])):
        if counts[0] < steps:
            model.distributions(bars, controls)
        model.feel(bars, controls, continuing=number % 3 > 0)
        counts = [sum(len(notes["context"]) for notes in graph) for graph in shown]
        hit = sum(int((notes["around"][:, BACK] % NO_MUSIC > 0).sum()) for notes in shown[1])
        if counts[0] >= steps and hit >= steps:
            break
    else:
        raise SidemanError(f"the validation pieces have fewer than {steps} steps with hits; export without --data")
    told = [{name: np.concatenate([notes[name] for notes in graph]) for name in graph[0]} for graph in shown]
    playing = told[1]["around"][:, BACK] % NO_MUSIC > 0
    return (
        {name: values[:steps] for name, values in told[0].items()},
        {name: values[playing][:steps] for name, values in told[1].items()},
    )


def _pieces(data: Path | None, styles: Sequence[str]) -> Iterator[tuple[list[Bar], Controls]]:
    """Bars of validation pieces in a mixed order, every other one with a density asked for; or random ones."""
    from offline.drums.groove.data import playable

    random = np.random.default_rng(0)
    if data is not None:
        dataset = DrumDataset.load(data / "validation.npz")
        for number, p in enumerate(random.permutation(np.flatnonzero(playable(dataset)))):
            piece = dataset.piece(int(p))
            style = piece.style if piece.style in styles else ANY_STYLE
            density = None if number % 2 else (number % 10) / 10
            yield list(piece.bars()[:PIECE_BARS]), Controls(style, piece.fill, density, bpm=piece.bpm)
        return
    while True:
        bars = []
        for _ in range(PIECE_BARS):
            masks = random.integers(0, MASKS, 16).astype(np.uint16)
            on = hits(masks)
            velocity = np.where(on, random.integers(1, 128, on.shape), 0).astype(np.uint8)
            bars.append(
                Bar(Meter(), masks, velocity, np.where(on, random.integers(-120, 120, on.shape), 0).astype(np.int16))
            )
        yield bars, Controls()


def _probe(graph: Graph, seen: Inputs, names: list[str]) -> Heads:
    """One step at a time: in int8 the steps of a batch would share a scale."""
    rows = len(next(iter(seen.values())))
    said = [graph(**{name: values[row : row + 1] for name, values in seen.items()}) for row in range(rows)]
    return {name: np.concatenate([each[i] for each in said]) for i, name in enumerate(names)}


def _mixture(copies: NDArray[np.int64]) -> Callable[[Heads], Heads]:
    """Log-probability of each mask, copied or new: [N, 512]."""

    def distributions(heads: Heads) -> Heads:
        p = mixture(copies, heads["gate"], heads["coefficients"])
        return {"mask": np.log(np.maximum(p, LEAST)).astype(np.float32)}

    return distributions


def _bins(around: NDArray[np.int64]) -> Callable[[Heads], Heads]:
    """Log-probabilities of the bins of velocity and of offset, of the instruments that are hit."""
    on = hits(around[:, BACK].astype(np.uint16))

    def distributions(heads: Heads) -> Heads:
        p = np.diff(heads["cumulative"].astype(np.float64), axis=-1, prepend=0.0)
        log = np.log(np.maximum(p, LEAST)).astype(np.float32)
        return {"velocity": log[:, 0][on], "offset": log[:, 1][on]}

    return distributions
