"""Downbeats: where the bars of music on a grid of sixteenths begin, by ear.

A hidden Markov model walks through the bar, as bar trackers do (Whiteley, Cemgil and Godsill 2006, "Bayesian modelling
of temporal structure in musical audio"; Boeck, Krebs and Widmer 2016): its state is the sixteenth of the bar, each
moment goes one on, and at a price a bar may be cut short. What is heard at a moment says how strong a place of the bar
it is; the metre whose walk explains the whole best is the piece's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter
from offline.notes.reading import Reading

MAX_STEPS = 40_000
"""Sixteenths that are listened to: over two hours at 80 bpm. Bars go on from there."""

DOWN, MIDDLE, BEAT, EIGHTH, SIXTEENTH = range(5)
METERS: tuple[tuple[Meter, tuple[int, ...]], ...] = (
    (Meter(4, 4), (DOWN, 4, 3, 4, BEAT, 4, 3, 4, MIDDLE, 4, 3, 4, BEAT, 4, 3, 4)),
    (Meter(3, 4), (DOWN, 4, 3, 4, BEAT, 4, 3, 4, BEAT, 4, 3, 4)),
    (Meter(6, 8), (DOWN, 4, 3, 4, 3, 4, MIDDLE, 4, 3, 4, 3, 4)),
)
"""The metres that are told apart, and how strong each sixteenth of their bars is."""

CUT_ON_BEAT, CUT_OFF_BEAT = 12.0, 24.0
"""Prices of a bar that is cut short, in nats."""

CONTRADICTION = 3.0
"""Nats a bar by which other bars must be likelier than the stated ones."""

FEATURES = 8

_WEIGHTS = np.array(
    [
        [-1.06, 1.80, 1.07, 0.87, 0.50, 0.52, 1.72, 0.12, -2.00],
        [-0.73, 0.47, 0.75, 0.44, 0.05, 0.19, 1.30, -2.44, 1.49],
        [-0.34, -0.28, 0.33, 0.28, 0.15, 0.49, -2.08, 0.65, 2.50],
        [0.55, -0.99, -0.70, -0.15, -0.26, -0.44, -1.25, 1.29, 3.66],
        [1.58, -1.00, -1.46, -1.44, -0.44, -0.76, 0.30, 0.38, 4.09],
    ]
)
"""Of each strength, of each feature and of none: a logistic regression on 629 songs whose bars are known."""
_PRIOR = np.array([0.068, 0.058, 0.116, 0.259, 0.499])


def features(reading: Reading) -> NDArray[np.float64]:
    """[T, FEATURES] of each sixteenth from tick 0: what is heard there of its strength.

    Onsets; how low the lowest of them is; how long they last together and the longest alone; how much louder than the
    mean; and the change of the pitch classes that sound, from the sixteenth, the beat and the half bar before it to the
    one after. Drums are heard only where there is nothing else.
    """
    pitched = ~reading.is_drum if (~reading.is_drum).any() else np.ones(len(reading.ticks), np.bool_)
    step = (reading.ticks[pitched] + STEP_TICKS // 2) // STEP_TICKS
    pitch, velocity = reading.pitch[pitched], reading.velocity[pitched].astype(np.float64)
    length = np.clip((reading.length[pitched] + STEP_TICKS // 2) // STEP_TICKS, 1, 32)
    heard = step < MAX_STEPS
    step, pitch, velocity, length = step[heard], pitch[heard], velocity[heard], length[heard]
    total = int(step.max(initial=0)) + 1
    count = np.bincount(step, minlength=total).astype(np.float64)
    lowest, longest, loudest = np.full(total, 84), np.zeros(total), np.zeros(total)
    np.minimum.at(lowest, step, pitch)
    np.maximum.at(longest, step, length)
    np.maximum.at(loudest, step, velocity - velocity.mean() if len(velocity) else velocity)
    together = np.bincount(step, length, minlength=total)
    chroma = np.zeros((total + 33, 12))
    np.add.at(chroma, (step, pitch % 12), 1.0)
    np.add.at(chroma, (step + length, pitch % 12), -1.0)
    chroma = np.minimum(np.cumsum(chroma, 0)[:total], 1.0)
    low = np.where(count > 0, np.clip((64 - lowest) / 24, 0, 1.5), 0.0)
    change = [_change(chroma, span) for span in (1, 4, 8)]
    return np.stack([np.log1p(count), low, np.log1p(together), np.log1p(longest), loudest / 20, *change], 1)


def _change(chroma: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """1 - cosine of what sounds in the `span` sixteenths before each and from it on; 0 where one is silent."""
    total = len(chroma)
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, 0)])
    at = np.arange(total)
    before = sums[at] - sums[np.maximum(at - span, 0)]
    after = sums[np.minimum(at + span, total)] - sums[at]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    change: NDArray[np.float64] = np.where(norms > 0, 1 - (before * after).sum(1) / np.maximum(norms, 1e-9), 0.0)
    return change


def downbeats(reading: Reading) -> list[tuple[int, Meter]]:
    """The bars of a reading whose ticks lie on sixteenths: (tick, metre) where a bar starts and the metre is a new one.

    The first is at tick 0: the bar that the first notes stand in may start before it, then its rest is a short bar.
    """
    evidence = _evidence(features(reading))
    walks = [(*_walk(evidence[:, strengths]), metre) for metre, strengths in METERS]
    _, places, metre = max(walks, key=lambda walk: walk[0])
    starts = np.append(np.union1d([0], np.flatnonzero(places == 0)), len(places))
    lengths = np.diff(starts)
    lengths[-1] = metre.steps
    changes: list[tuple[int, Meter]] = []
    for start, length in zip(starts, lengths, strict=False):
        own = metre if length == metre.steps else Meter(length // 4, 4) if length % 4 == 0 else Meter(int(length), 16)
        if not changes or changes[-1][1] != own:
            changes.append((int(start) * STEP_TICKS, own))
    return changes


def contradicted(reading: Reading) -> bool:
    """Whether the one metre that a reading states is heard to begin its bars elsewhere, by a wide margin.

    A reading of several metres, or of one that is not told apart here, is taken at its word.
    """
    strengths = dict(METERS).get(reading.meters[0][1] or Meter(1, 1))
    if len(reading.meters) > 1 or strengths is None:
        return False
    evidence = _evidence(features(reading))
    places = len(strengths)
    sums = np.zeros((places, evidence.shape[1]))
    np.add.at(sums, np.arange(len(evidence)) % places, evidence)
    begun = [sum(sums[(i + turn) % places, strength] for i, strength in enumerate(strengths)) for turn in range(places)]
    return bool(max(begun) - begun[0] > CONTRADICTION * len(evidence) / places)


def _evidence(heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T, 5] log of how much likelier each strength of place has become by what is heard."""
    scores = heard @ _WEIGHTS[:, :-1].T + _WEIGHTS[:, -1] + np.log(_PRIOR)
    peak = scores.max(1, keepdims=True)
    evidence: NDArray[np.float64] = scores - peak - np.log(np.exp(scores - peak).sum(1, keepdims=True)) - np.log(_PRIOR)
    return evidence


def _walk(evidence: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    """The likeliest place in the bar of each sixteenth, [T], and its score.

    evidence: [T, P] of each sixteenth and place.
    """
    total, places = evidence.shape
    score = evidence[0].copy()
    cut_price = np.full(places, CUT_OFF_BEAT)
    cut_price[3::4] = CUT_ON_BEAT
    cut_price[-1] = 0.0
    came = np.zeros(total, np.int64)
    for t in range(1, total):
        ends = score - cut_price
        came[t] = ends.argmax()
        score = np.concatenate([[ends[came[t]]], score[:-1]]) + evidence[t]
    path = np.zeros(total, np.int64)
    path[-1] = score.argmax()
    for t in range(total - 1, 0, -1):
        path[t - 1] = came[t] if path[t] == 0 else path[t] - 1
    return float(score.max()), path
