"""Free running: what a model plays when it hears only itself, beside what players played at the same places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import HISTORY_BARS, Bar, after, hits
from engines.drums.model import ANY_STYLE, Controls, DrumModel
from engines.randomness import generator
from offline.drums.dataset import Piece
from offline.drums.feel import ms_per_tick

PRIMER_BARS = 4
"""Bars heard at least before a primed start; half of a piece that is shorter than twice this."""
TEMPERATURES = (1.0, 0.7)


@dataclass(frozen=True, slots=True)
class Start:
    """A place in a piece from which to go on.

    heard: the bars before it, at most HISTORY_BARS
    """

    heard: tuple[Bar, ...]
    style: str
    bpm: float


@dataclass(frozen=True, slots=True)
class Playing:
    """How bars go on from one another.

    repeats: share of bars with the masks of the bar before; hits: a bar; silent: share of bars without a hit
    velocity_spread, timing_spread_ms: standard deviation over the hits
    bars:    how many were looked at
    """

    repeats: float
    hits: float
    silent: float
    velocity_spread: float
    timing_spread_ms: float
    bars: int


def starts(pieces: Sequence[Piece], count: int, seed: int) -> list[Start]:
    """`count` places drawn evenly from all bars far enough into their piece; fewer if there are fewer."""
    places = [
        (p, bar)
        for p, piece in enumerate(pieces)
        for bar in range(min(PRIMER_BARS, (piece.bar_count + 1) // 2), piece.bar_count)
        if piece.bar_count > 1
    ]
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    drawn = []
    for i in sorted(chosen):
        p, bar = places[i]
        whole = pieces[p].bars()
        drawn.append(Start(whole[max(0, bar - HISTORY_BARS) : bar], pieces[p].style, pieces[p].bpm))
    return drawn


@dataclass(frozen=True, slots=True)
class Trial:
    """How a model is let run: primed with what was heard or from nothing, for so many bars."""

    primed: bool
    temperature: float
    bars: int
    seed: int


def play(model: DrumModel, start: Start, trial: Trial, take: int = 0) -> list[Bar]:
    """The bars a model plays alone; the same arguments give the same bars, another take others."""
    style = start.style if start.style in model.styles else ANY_STYLE
    controls = Controls(style=style, bpm=start.bpm, temperature=trial.temperature)
    meter = start.heard[0].meter
    history = start.heard if trial.primed else ()
    carry = model.prime(history, controls)
    played = []
    for number in range(trial.bars):
        bar, carry = model.bar(history, carry, meter, controls, generator(trial.seed, number, take))
        history = after(history, (bar,))
        played.append(bar)
    return played


def playing(runs: Sequence[tuple[Bar | None, Sequence[Bar], float]]) -> Playing:
    """Statistics of runs of bars, each with the bar before it (None: it began from nothing) and its bpm."""
    equal = compared = count = sounded = silent = 0
    velocity: list[NDArray[np.float64]] = []
    timing: list[NDArray[np.float64]] = []
    for before, bars, bpm in runs:
        last = before
        for bar in bars:
            if last is not None:
                compared += 1
                equal += bool(np.array_equal(last.masks, bar.masks))
            on = hits(bar.masks)
            velocity.append(bar.velocity[on].astype(np.float64))
            timing.append(bar.offset[on].astype(np.float64) * ms_per_tick(bpm))
            count += 1
            sounded += int(on.sum())
            silent += not on.any()
            last = bar
    return Playing(
        equal / max(1, compared), sounded / max(1, count), silent / max(1, count),
        _spread(velocity), _spread(timing), count,
    )  # fmt: skip


def _spread(parts: list[NDArray[np.float64]]) -> float:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return float(joined.std()) if len(joined) else 0.0


def real_playing(pieces: Sequence[Piece]) -> Playing:
    """What the players did, in pieces of more than one bar."""
    return playing([(None, piece.bars(), piece.bpm) for piece in pieces if piece.bar_count > 1])


def model_playing(model: DrumModel, drawn: Sequence[Start], trial: Trial) -> Playing:
    """What a model does at these starts."""
    return playing(
        [
            (start.heard[-1] if trial.primed else None, play(model, start, trial, take), start.bpm)
            for take, start in enumerate(drawn)
        ]
    )
