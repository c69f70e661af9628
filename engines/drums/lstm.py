"""LstmModel: the live side of the seed's LSTM, a vocabulary of masks played one sixteenth after another.

The graph holds no state: it takes (token, position, style, h1, c1, h2, c2) and returns logits and the new states.
offline/drums/lstm/network.py says what is inside; docs/MODELS.md how it was made and what it scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.drums.bar import INSTRUMENTS, MASKS, Bar, History, hits
from engines.drums.model import ANY_STYLE, Carry, Controls
from engines.errors import BundleError
from engines.music import STEP_TICKS, Meter
from engines.runtime import Graph
from engines.sampling import pick, shaped

GRAPH = "step"
STATES = ("h1", "c1", "h2", "c2")
INPUTS = ("token", "position", "style", *STATES)
OUTPUTS = ("logits", *(f"{name}_out" for name in STATES))
UNKNOWN = 0
POSITIONS = 16
"""Places in the bar that the network knows, those of 4/4."""

PRIMED_BARS = 16
"""Four times what it learned with; a fresh worker has it heard in 20 ms."""

OCTAVE_OF_VARIATION = 4.0
"""`variation` of this much doubles the temperature."""


class LstmSettings(msgspec.Struct, frozen=True):
    """The manifest's config.

    masks:  of tokens 1, 2, ...; token 0 is UNK, token len(masks) + 1 the start
    styles: "any" first
    units:  of each LSTM layer
    context_bars: 1: every bar starts from nothing, as the seed's do; more: the state is carried from bar to bar
    velocity, offset: [16][9]; how each instrument is played at each place of the bar, offset in ticks
    """

    masks: tuple[int, ...]
    styles: tuple[str, ...]
    units: int
    context_bars: int
    velocity: tuple[tuple[int, ...], ...]
    offset: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Raise ValueError for what no export writes."""
        if not self.masks or len(set(self.masks)) != len(self.masks) or not all(0 <= m < MASKS for m in self.masks):
            raise ValueError("masks are not distinct masks of nine drums")
        if not self.styles or self.styles[0] != ANY_STYLE or not 1 <= self.units <= 1 << 14 or self.context_bars < 1:
            raise ValueError("styles, units or context_bars are not those of a network")
        for table, low, high in ((self.velocity, 1, 127), (self.offset, -STEP_TICKS // 2, STEP_TICKS // 2 - 1)):
            if len(table) != POSITIONS or any(len(row) != INSTRUMENTS for row in table):
                raise ValueError("velocity and offset are not 16 by 9")
            if not all(low <= value <= high for row in table for value in row):
                raise ValueError("a velocity or an offset is out of range")


@dataclass(frozen=True, slots=True)
class LstmCarry:
    """What the network remembers: its four states, float32 [1, units], and the token that came last."""

    states: tuple[NDArray[np.float32], ...]
    token: int


class LstmModel:
    """The seed's LSTM as a DrumModel.

    It says which drums are hit; how hard and how far off the grid is each instrument's median at that place of the bar
    in the training data. UNK names no hits, so its probability is taken away and the rest played in proportion. Bars
    of other metres are played with 4/4's places, 0-15 over and over. `fill` and `density` it was never told of and
    ignores; `variation` is temperature by another name: +4 doubles it, -4 halves it.
    """

    def __init__(self, graph: Graph, settings: LstmSettings) -> None:
        """graph: with INPUTS and OUTPUTS as above, any batch."""
        self._graph = graph
        self._settings = settings
        self._masks = np.array((0, *settings.masks), np.uint16)
        self._token_of = np.full(MASKS, UNKNOWN, np.int32)
        self._token_of[list(settings.masks)] = np.arange(1, len(settings.masks) + 1)
        self._velocity = np.array(settings.velocity, np.uint8)
        self._offset = np.array(settings.offset, np.int16)
        self._start = LstmCarry(self._zeros(1), len(settings.masks) + 1)

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = "auto") -> Self:
        """Open a bundle of kind lstm; see engines.engine.Engine.load. Raises BundleError."""
        try:
            settings = msgspec.convert(bundle.manifest.config, LstmSettings)
        except (msgspec.ValidationError, ValueError) as error:
            raise BundleError(f"{bundle.path}: its config is not an lstm's ({error}); export it again") from error
        return cls(bundle.graph(GRAPH, runtime), settings)

    @property
    def styles(self) -> tuple[str, ...]:
        """See DrumModel."""
        return self._settings.styles[1:]

    def prime(self, history: History, controls: Controls) -> Carry:
        """See DrumModel; the last PRIMED_BARS are listened to."""
        if self._settings.context_bars == 1 or not history:
            return self._start
        heard = history[-PRIMED_BARS:]
        tokens = self._token_of[np.concatenate([bar.masks for bar in heard])]
        positions = np.concatenate([np.arange(bar.meter.steps) % POSITIONS for bar in heard])
        style = self._style(controls)
        carry = self._start
        for token, position in zip(tokens, positions, strict=True):
            _, states = self._step(carry, int(position), style)
            carry = LstmCarry(states, int(token))
        return carry

    def bar(
        self, history: History, carry: Carry, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, Carry]:
        """See DrumModel; one uniform number is drawn for each sixteenth."""
        n = meter.steps
        temperature = controls.temperature * 2.0 ** (controls.variation / OCTAVE_OF_VARIATION)
        style = self._style(controls)
        now: LstmCarry = self._start if self._settings.context_bars == 1 else carry
        masks = np.zeros(n, np.uint16)
        for i, uniform in enumerate(random.random(n)):
            logits, states = self._step(now, i % POSITIONS, style)
            logits[UNKNOWN] = -np.inf
            if controls.allowed is not None:
                logits[~controls.allowed[i, self._masks]] = -np.inf
            if np.isneginf(logits).all():  # it has no token for any of the masks that are allowed
                masks[i] = np.flatnonzero(controls.allowed[i])[0] if controls.allowed is not None else 0
                token = int(self._token_of[masks[i]])
            else:
                token = pick(shaped(logits, temperature, controls.top_k, controls.top_p), float(uniform))
                masks[i] = self._masks[token]
            now = LstmCarry(states, token)
        on = hits(masks)
        places = np.arange(n) % POSITIONS
        velocity = np.where(on, self._velocity[places], 0).astype(np.uint8)
        offset = np.where(on, self._offset[places], 0).astype(np.int16)
        return Bar(meter, masks, velocity, offset), now

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        """See DrumModel."""
        logits = self.forced(bars, controls).astype(np.float64)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        unnamed = MASKS - len(self._settings.masks)
        spread = p[:, UNKNOWN] / unnamed if unnamed else np.zeros(len(p))
        out = np.repeat(spread[:, None], MASKS, axis=1)
        out[:, list(self._settings.masks)] = p[:, 1:]
        whole: NDArray[np.float32] = (out / out.sum(axis=1, keepdims=True)).astype(np.float32)
        return whole

    def forced(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        """Logits of every step of a piece when the network hears what was played: [sum of steps, tokens]."""
        groups = [[bar] for bar in bars] if self._settings.context_bars == 1 else [list(bars)]
        lengths = np.array([sum(bar.meter.steps for bar in group) for group in groups])
        rows, longest = len(groups), int(lengths.max(initial=0))
        read = np.full((rows, longest + 1), self._start.token, np.int32)
        position = np.zeros((rows, longest), np.int32)
        for row, group in enumerate(groups):
            played = self._token_of[np.concatenate([bar.masks for bar in group])]
            read[row, 1 : len(played) + 1] = played
            position[row, : len(played)] = np.concatenate([np.arange(bar.meter.steps) % POSITIONS for bar in group])
        style = np.full(rows, self._style(controls), np.int32)
        states: tuple[NDArray[Any], ...] = self._zeros(rows)
        out = np.zeros((rows, longest, len(self._masks)), np.float32)
        for t in range(longest):
            out[:, t], *new = self._run(read[:, t], position[:, t], style, states)
            states = tuple(new)
        forced: NDArray[np.float32] = out[np.arange(longest) < lengths[:, None]]
        return forced

    def _zeros(self, rows: int) -> tuple[NDArray[np.float32], ...]:
        return tuple(np.zeros((rows, self._settings.units), np.float32) for _ in STATES)

    def _style(self, controls: Controls) -> int:
        styles = self._settings.styles
        return styles.index(controls.style) if controls.style in styles else 0

    def _step(
        self, carry: LstmCarry, position: int, style: int
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        token, place, kind = (np.array([value], np.int32) for value in (carry.token, position, style))
        logits, *states = self._run(token, place, kind, carry.states)
        return logits[0], tuple(states)

    def _run(
        self,
        token: NDArray[np.int32],
        position: NDArray[np.int32],
        style: NDArray[np.int32],
        states: tuple[NDArray[Any], ...],
    ) -> tuple[NDArray[Any], ...]:
        return self._graph(token=token, position=position, style=style, **dict(zip(STATES, states, strict=True)))
