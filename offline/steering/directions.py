"""Directions made: from clips of a concept to the files of every method, layer by layer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.musicgen.direction import SCHEMA, TENSORS, About, Direction, Method, write_direction
from offline.data.labels import SPLITS
from offline.steering.activations import Activations
from offline.steering.concepts import Concept, file_name
from offline.steering.examples import Clip, Examples, examples_of
from offline.steering.linear import random
from offline.steering.progress import told
from offline.steering.search import Found, Part, Plan, search
from offline.steering.targets import MEASURES
from offline.steering.work import Work

WORK = ".search"
ALL = "all"

Layer = dict[Method, Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for; see the options of `sideman train steering`."""

    dataset: Path
    concept: Concept
    model: str
    methods: tuple[Method, ...]
    pooling: str
    layers: str
    trials: int
    iterations: int
    standardise: str
    clips: int
    prompt: str
    batch: int
    device: str
    seed: int
    cache: Path
    output: Path


def train(wanted: Wanted) -> str:
    """Make the directions and write them; a table of their scores to read. Raises SidemanError for a mistake."""
    examples = examples_of(wanted.dataset, wanted.concept, wanted.clips, wanted.seed)

    from offline.steering.model import load_model
    from offline.trainer import choose_device

    model = load_model(wanted.model, choose_device(wanted.device))
    chosen = layers_of(wanted.layers, model.layers)
    activations = Activations(model, wanted.cache, examples.data, wanted.pooling, wanted.prompt)
    plan = Plan(wanted.concept.task, wanted.methods, wanted.trials, wanted.iterations, wanted.standardise, wanted.seed)
    about = About(
        schema=SCHEMA, concept=wanted.concept.name, task=plan.task, method=plan.methods[0], model=model.hash,
        pooling=wanted.pooling, prompt=wanted.prompt, scores=(),
        split={split: len(clips) for split, clips in examples.clips.items()},
        made={"data": examples.data, "clips": wanted.clips, "plan": asdict(plan)},
    )  # fmt: skip
    work = Work(wanted.output / WORK)
    work.begin(msgspec.to_builtins(about))
    activations.read([clip for split in SPLITS for clip in examples.clips[split]], wanted.batch)
    found = _searched(examples, activations, chosen, plan, work)
    scale = activations.scale(examples.clips["train"])
    for direction in _composed(found, examples.names, about, scale):
        name = f"{file_name(direction.about.concept)}.{direction.about.method}{TENSORS}"
        write_direction(direction, wanted.output / name)
    work.end()
    return _table(found, wanted, examples, about)


def layers_of(text: str, count: int) -> list[int]:
    """The numbers in a list such as 0,4-11, of so many layers. Raises SidemanError for one that there is not."""
    if text == ALL:
        return list(range(count))
    chosen: set[int] = set()
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise SidemanError(f"--layers {text}: {piece.strip() or 'nothing'!r} is no layer; write them as 0,4-11")
        low, high = int(first), int(last if dash else first)
        if not low <= high < count:
            raise SidemanError(f"--layers {text}: {piece.strip()} is not within the model's layers 0-{count - 1}")
        chosen |= set(range(low, high + 1))
    return sorted(chosen)


def _searched(
    examples: Examples, activations: Activations, chosen: Sequence[int], plan: Plan, work: Work
) -> dict[int, Layer]:
    """What each layer gave, from the work of before or anew.

    Random directions are added, with the scores of the first method: so they are as long under every layer selection.
    """
    found: dict[int, Layer] = {}
    started, made = time.monotonic(), 0
    for number in chosen:
        layer = work.layer(number)
        if layer is None:
            parts = [_part(examples.clips[split], activations, number) for split in SPLITS]
            layer = search(parts[0], parts[1], parts[2], plan, activations.model.device)
            work.keep(number, layer)
            made += 1
        first = layer[plan.methods[0]]
        drawn = [
            random(first.vectors.shape[1], (plan.seed, number, i)).numpy()[:, 0] for i in range(len(first.vectors))
        ]
        other = replace(first, vectors=np.stack(drawn).astype(np.float32), detail={"scores_of": plan.methods[0]})
        found[number] = {**layer, "random": other}
        best = max(float(np.mean(one.validation)) for one in layer.values())
        left_s = (time.monotonic() - started) / max(1, made) * (len(chosen) - len(found))
        line = f"layer {number}: {MEASURES[plan.task][0]} {best:.3f}, {left_s / 60:.0f} min left"
        told(line, len(found) == len(chosen))
    return found


def _part(clips: Sequence[Clip], activations: Activations, layer: int) -> Part:
    labels = np.repeat(np.array([clip.label for clip in clips], np.float64), activations.tokens)
    return Part(activations.layer(clips, layer), labels)


def _composed(
    found: dict[int, Layer], names: Sequence[str], about: About, scale: NDArray[np.float32]
) -> Iterator[Direction]:
    """The direction of each class by each method; layers that were left out are zero."""
    methods = list(next(iter(found.values())))
    for number, name in enumerate(names):
        for method in methods:
            each = {layer: results[method] for layer, results in found.items()}
            vectors = np.zeros((len(scale), next(iter(each.values())).vectors.shape[1]), np.float32)
            scores = np.zeros(len(scale))
            for layer, one in each.items():
                vectors[layer], scores[layer] = one.vectors[number], one.validation[number]
            layers = {str(layer): {"test": one.test[number], **one.detail} for layer, one in each.items()}
            own = msgspec.structs.replace(
                about, concept=name, method=method, scores=tuple(scores.tolist()), made={**about.made, "layers": layers}
            )
            yield Direction(own, vectors, scale)


def _table(found: dict[int, Layer], wanted: Wanted, examples: Examples, about: About) -> str:
    """Scores of each layer on validation, the best layer's on test, and where the files are."""
    direction, predictor = MEASURES[about.task]
    sizes = ", ".join(f"{count} {split}" for split, count in about.split.items())
    lines = [
        f"{wanted.concept.name}: clips: {sizes}; {direction} of the direction in each layer on validation",
        f"{'layer':>5}" + "".join(f"{method:>10}" for method in wanted.methods),
    ]
    for number, layer in found.items():
        lines.append(
            f"{number:>5}" + "".join(f"{np.mean(layer[method].validation):>10.3f}" for method in wanted.methods)
        )
    for method in wanted.methods:
        best = max(found, key=lambda number: float(np.mean(found[number][method].validation)))
        one = found[best][method]
        line = f"{method}: best layer {best}, {np.mean(one.validation):.3f}, on test {np.mean(one.test):.3f}"
        if method == "rfm":
            line += "; its predictor's {} {:.3f}, on test {:.3f}".format(predictor, *one.detail["predictor"])
        lines.append(line)
    names = ", ".join(f"{file_name(examples.names[0])}.{method}" for method in (*wanted.methods, "random"))
    more = f", and of {len(examples.names) - 1} other classes" if len(examples.names) > 1 else ""
    return "\n".join([*lines, f"{wanted.output}: {names}{more}"])
