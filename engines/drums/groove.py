"""GrooveModel: bars from the groove bundle's two graphs, `step` and `humaniser`, in numpy around them.

Each step is a choice: copy one of the masks of the past, or write something new, drum by drum (offline/drums/groove).
Temperature and cuts act on what is new only, and `variation` on the choice, because a plain temperature locks a
drummer into loops. Nothing is carried between bars but their number: the past is the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.drums.bar import INSTRUMENTS, MASKS, Bar, History
from engines.drums.features import (
    AGREEMENTS,
    CANDIDATES,
    FEATURE_VERSION,
    NO_MUSIC,
    PAST,
    SCALE,
    Tables,
    Window,
    check_meter,
    context,
    controlled,
    fitted,
    tables,
)
from engines.drums.humaniser import (
    AROUND,
    HEARD,
    MEANS,
    TEMPO,
    Performance,
    Played,
    hits_alone,
    medians,
    sampled,
    tempo,
)
from engines.drums.model import ANY_STYLE, Controls
from engines.drums.writer import log_probabilities, write
from engines.errors import BundleError, SidemanError
from engines.music import Meter
from engines.runtime import Graph
from engines.sampling import pick, shaped

SEEN: dict[str, dict[str, tuple[int, ...]]] = {
    "step": {"past": (PAST,), "copies": (CANDIDATES,), "agreement": (CANDIDATES, AGREEMENTS)},
    "humaniser": {"around": (AROUND,), "heard": (HEARD,), "means": (MEANS,)},
}
"""Shapes of what the graphs are shown of one step."""

BATCH = 2048
"""Steps sent through a graph at once when a whole piece is scored."""


UNDER_WAY_BARS = 8
"""Bars that a performance is taken to have gone on before its first. The first bars of the training files are short
library patterns and fills; a song that is under way is what a player wants, and what long training pieces teach."""

LOOSENING = 6.0
"""Nats for writing something new that a temperature of 0 adds, less at a higher one. What is new is then predictable
and repeats, and the model, hearing repeats, would copy ever more."""


DENSITY_ASKED = 1.5
"""Nats for writing something new that asking for a density adds: a copy of the past is as dense as the past."""

REPEATED = 0.4
"""Nats for writing something new that each bar adds which was the one before it again. Hearing only itself, the model
takes its own repeats for the loops that many training files are, and would stay in one far longer than players do."""

REPEATED_MAX = 4
"""Repeats in a row that count."""

AHEAD = 6
"""Steps decided at once, on a guess. More are fewer calls of the graph, but rows in vain where a guess was wrong."""


class GrooveModel:
    """A DrumModel; its carry is the number of the next bar."""

    def __init__(self, step: Graph, humaniser: Graph, config: dict[str, Any]) -> None:
        """See the bundle's manifest: the graphs, and styles and feature_version in its config."""
        if config.get("feature_version") != FEATURE_VERSION:
            raise BundleError(
                f"the groove bundle was made for features {config.get('feature_version')} and this version of "
                f"Sideman makes {FEATURE_VERSION}; export it again"
            )
        styles = config.get("styles")
        if not isinstance(styles, list | tuple) or not all(isinstance(style, str) for style in styles):
            raise BundleError("the groove bundle's config names no styles; export it again")
        self._step = step
        self._humaniser = humaniser
        self._styles = tuple(styles)

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = "auto") -> Self:
        """Open a bundle's graphs. Raises BundleError if it lacks one, or was made for other features."""
        config = bundle.manifest.config
        for graph, shapes in SEEN.items():
            entry = bundle.manifest.graphs.get(graph)
            for tensor in entry.inputs if entry else ():
                if tensor.shape[1:] != shapes.get(tensor.name, tensor.shape[1:]):
                    raise BundleError(
                        f"{bundle.path}: {graph} takes {tensor.name} of {tensor.shape[1:]}, this version of Sideman "
                        f"makes {shapes[tensor.name]}; export it again"
                    )
        return cls(bundle.graph("step", runtime), bundle.graph("humaniser", runtime), config)

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles it was trained on."""
        return self._styles

    def prime(self, history: History, controls: Controls) -> int:
        """The number of the bar, as if some had been played before what is known: see UNDER_WAY_BARS."""
        return UNDER_WAY_BARS + len(history)

    def bar(
        self, history: History, carry: int, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, int]:
        """The next bar. Raises SidemanError for a metre or a style it has not."""
        check_meter(meter)
        place = self._context(meter, carry, controls)
        masks = self._write(history, place, controls, random)
        velocity, offset = self._perform(history, masks, _feel_context(place, controls), random)
        return Bar(meter, masks, velocity, offset), carry + 1

    def _write(
        self, history: History, place: NDArray[np.float32], controls: Controls, random: np.random.Generator
    ) -> NDArray[np.uint16]:
        """The masks of a bar, in fewer calls of the graph than it has steps.

        With its random numbers drawn beforehand a step is a function of the steps before it. So the bar is guessed to
        be the last one again, and the next few steps are decided at once, each as if the guess before it were right.
        The first that comes out other than guessed is right, as all before it are; what came out after it is the next
        guess there. The bar is what one step after another gives (Jacobi decoding: Song et al. 2021, "Accelerating
        Feedforward Computation via Parallel Nonlinear Equation Solving"; guesses checked in one batch: Leviathan et
        al. 2023, "Fast Inference from Transformers via Speculative Decoding"). In int8, whose activations are quantised
        a batch at a time, it is so but for a rounding as small as int8's own, which turns one bar in ten into another.
        """
        n = len(place)
        uniform = random.random((n, INSTRUMENTS))
        window = Window([bar.masks for bar in history], n)
        # The gate's choice is the largest logit plus Gumbel noise (Maddison et al. 2014).
        noise = -np.log(-np.log(random.random((n, CANDIDATES + 1)) + 1e-300))
        noise[:, :CANDIDATES][window.absent] = -np.inf
        noise[:, CANDIDATES] += _bias(controls) + REPEATED * _repeats(history)
        masks = fitted(history[-1].masks, n).copy() if history else np.zeros(n, np.uint16)
        done = 0
        while done < n:
            end = min(done + AHEAD, n)
            past, copies, agreement = window.look(masks, done, end)
            gate, coefficients = self._step(past=past, copies=copies, agreement=agreement, context=place[done:end])
            gate = gate + noise[done:end]
            if controls.allowed is not None:
                may = np.take_along_axis(controls.allowed[done:end], np.minimum(copies, MASKS - 1), axis=1)
                gate[:, :CANDIDATES][~may] = -np.inf
            right = end
            for step, chosen in enumerate(gate.argmax(axis=1).tolist(), start=done):
                if chosen < CANDIDATES:
                    mask = int(copies[step - done, chosen])
                else:
                    mask = _new(coefficients[step - done], controls, step, uniform[step])
                if mask != masks[step]:
                    right = min(right, step + 1)
                    masks[step] = mask
            done = right
        return masks

    def _perform(
        self, history: History, masks: NDArray[np.uint16], place: NDArray[np.float32], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """Velocity and offset of the hits of a bar [n, 9] each, one step after another.

        Guessing ahead as `_write` does gains nothing here: what is drawn depends finely on how the step before was
        played, so few guesses come out right; and a number of rounds that is fixed leaves timing less even than it is.
        """
        values = np.zeros((len(masks), 2, INSTRUMENTS))
        uniform = random.random((len(masks), 2, 2, INSTRUMENTS))
        performance = Performance(history, masks)
        for step in map(int, np.flatnonzero(masks)):
            around, heard, means = performance.look(step)
            (cumulative,) = self._humaniser(around=around, heard=heard, means=means, context=place[step : step + 1])
            values[step] = sampled(cumulative[0], uniform[step]) * performance.on[step]
            performance.play(step, values[step])
        return values[:, 0].astype(np.uint8), values[:, 1].astype(np.int16)

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        """Probability of each mask at each step of a piece, teacher-forced: [sum of steps, 512]."""
        result = []
        for first, last in _runs(bars):
            meter = bars[first].meter
            n = check_meter(meter)
            made = _piece([bar.masks for bar in bars[:last]], n)
            rows = np.arange(first * n, last * n)
            place = np.concatenate([self._context(meter, number, controls) for number in range(first, last)])
            for i in range(0, len(rows), BATCH):
                result.append(self._mixture(made, rows[i : i + BATCH], place[i : i + BATCH]))
        return np.concatenate(result) if result else np.zeros((0, MASKS), np.float32)

    def _mixture(self, made: Tables, rows: NDArray[np.int64], place: NDArray[np.float32]) -> NDArray[np.float32]:
        copies = made.copies[rows].astype(np.int64)
        gate, coefficients = self._step(
            past=made.past[rows].astype(np.int64), copies=copies, agreement=made.agreement[rows] * SCALE, context=place
        )
        return mixture(copies, gate, coefficients)

    def feel(
        self, bars: Sequence[Bar], controls: Controls, continuing: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Median velocity and offset of every hit of a piece, [sum of steps, 9] each.

        continuing: knowing how the hits before were really played; otherwise the hits alone.
        """
        velocity, offset = [], []
        for first, last in _runs(bars):
            meter = bars[first].meter
            n = check_meter(meter)
            place = np.concatenate([self._context(meter, number, controls) for number in range(first, last)])
            place = _feel_context(place, controls)
            heard = bars[first:last]
            played = Played.of(
                np.concatenate([bar.masks for bar in heard]),
                np.concatenate([bar.velocity for bar in heard]),
                np.concatenate([bar.offset for bar in heard]),
                np.array([0, (last - first) * n]),
                np.array([n]),
            )
            for i in range(0, len(place), BATCH):
                rows = np.arange(i, min(i + BATCH, len(place)))
                (cumulative,) = self._humaniser(
                    around=played.around(rows, whole_piece=True),
                    heard=played.heard(rows) if continuing else np.zeros((len(rows), HEARD), np.float32),
                    means=played.means(rows) if continuing else hits_alone(played.means(rows)),
                    context=place[rows],
                )
                middle = medians(cumulative)
                velocity.append(middle[:, 0])
                offset.append(middle[:, 1])
        if not velocity:
            return np.zeros((0, INSTRUMENTS), np.float32), np.zeros((0, INSTRUMENTS), np.float32)
        return np.concatenate(velocity), np.concatenate(offset)

    def _context(self, meter: Meter, bar: int, controls: Controls) -> NDArray[np.float32]:
        if controls.style != ANY_STYLE and controls.style not in self._styles:
            raise SidemanError(f"the groove model has no style {controls.style}; it has {', '.join(self._styles)}, any")
        style = self._styles.index(controls.style) if controls.style != ANY_STYLE else -1
        row = controlled(style, len(self._styles), controls.fill, controls.density)
        place = context(meter, bar)
        return np.concatenate([place, np.broadcast_to(row, (len(place), len(row)))], axis=1)


def _feel_context(place: NDArray[np.float32], controls: Controls) -> NDArray[np.float32]:
    """The context with the tempo instead of the density, which the hits themselves tell."""
    told = tempo(controls.bpm)
    return np.concatenate([place[:, :-3], np.broadcast_to(told, (len(place), TEMPO))], axis=1)


def mixture(
    copies: NDArray[np.int64], gate: NDArray[np.float32], coefficients: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Probability of each mask [n, 512] from the candidates [n, CANDIDATES] and what the step graph said of them."""
    weight = np.exp(gate - gate.max(axis=1, keepdims=True))
    weight[:, :CANDIDATES] *= copies != NO_MUSIC
    weight /= weight.sum(axis=1, keepdims=True)
    p: NDArray[np.float32] = weight[:, -1:] * np.exp(log_probabilities(coefficients))
    row, which = np.nonzero(copies != NO_MUSIC)
    np.add.at(p, (row, copies[row, which]), weight[row, which])
    return p


def _new(coefficients: NDArray[np.float32], controls: Controls, step: int, uniform: NDArray[np.float64]) -> int:
    """A new mask for a step from what the step graph said of it [COEFFICIENTS], with uniforms [9]."""
    free = controls.allowed is None or controls.allowed[step].all()
    if free and controls.temperature == 1.0 and controls.top_k == 0 and controls.top_p >= 1.0:
        return write(coefficients, uniform)
    new = log_probabilities(coefficients[None])[0]
    if controls.allowed is not None:
        new[~controls.allowed[step]] = -np.inf
    return pick(shaped(new, controls.temperature, controls.top_k, controls.top_p), float(uniform[0]))


def _bias(controls: Controls) -> float:
    """What is added to the gate's logit of writing something new."""
    asked = DENSITY_ASKED if controls.density is not None else 0.0
    return controls.variation + asked + LOOSENING * max(0.0, 1.0 - controls.temperature)


def _repeats(history: History) -> int:
    """How many of the last bars, up to REPEATED_MAX, each had the masks of the one before it."""
    count = 0
    while count < min(REPEATED_MAX, len(history) - 1):
        if not np.array_equal(history[-1 - count].masks, history[-2 - count].masks):
            break
        count += 1
    return count


def _piece(bars: Sequence[NDArray[np.uint16]], n: int) -> Tables:
    line = np.concatenate([fitted(masks, n) for masks in bars])
    return tables(line, np.array([0, len(line)]), np.array([n]))


def _runs(bars: Sequence[Bar]) -> list[tuple[int, int]]:
    """Runs of bars of one metre: (first, last + 1)."""
    edges = [i for i in range(1, len(bars)) if bars[i].meter != bars[i - 1].meter]
    return list(zip([0, *edges], [*edges, len(bars)], strict=True)) if bars else []
