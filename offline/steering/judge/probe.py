"""The seed's kind of judge: a linear probe, trained on the same set that directions are made from.

It names a class for whatever it hears, and has learned from the data that steering has learned from; so what it says is
told beside the judges that have not. Its features are of the sound, not of the model: mean and spread over time of how
much each pitch class has of the spectrum, or for the tempo the autocorrelation of onsets. The quality of a chord is not
linear in either, so there is no probe of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.steering.judge.notes import Sound
from offline.steering.judge.tempo import autocorrelation

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse regularisations that are tried; validation decides."""
LAGS = 150
LOWEST, HIGHEST = 24, 108
_WINDOW_S, _STEP_S = 0.25, 0.125


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """weights: [features, classes], or [features, 1] of a number; the features are divided by `spread` first."""

    kind: str
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]

    def guess(self, sound: Sound, rate_hz: int) -> float:
        """The class, or the number, that it makes of a sound [samples]."""
        said = (features(sound, rate_hz, self.kind) - self.mean) / self.spread @ self.weights + self.offset
        return float(said[0] if len(said) == 1 else said.argmax())

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            np.savez(file, mean=self.mean, spread=self.spread, weights=self.weights, offset=self.offset)
        part.replace(path)

    @classmethod
    def load(cls, path: Path, kind: str) -> Probe:
        """Read what was saved. Raises SidemanError for a damaged file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(kind, file["mean"], file["spread"], file["weights"], file["offset"])
        except (OSError, ValueError, KeyError) as error:
            raise SidemanError(f"{path} is damaged; remove it, and it is trained again") from error


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """features: [n, features]; labels: [n], classes or numbers."""

    features: NDArray[np.float64]
    labels: NDArray[np.float64]


def features(sound: Sound, rate_hz: int, kind: str) -> NDArray[np.float64]:
    """Of a sound [samples]: [24] of pitch classes, or [149] lags."""
    if kind == "tempo":
        found = autocorrelation(sound, rate_hz)[1:LAGS]
        return np.pad(found, (0, LAGS - 1 - len(found)))
    length, step = round(_WINDOW_S * rate_hz), round(_STEP_S * rate_hz)
    padded = np.pad(sound, (0, max(0, length - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::step]
    power = np.abs(np.fft.rfft(frames * np.hanning(length), axis=1)) ** 2
    keys = np.round(69 + 12 * np.log2(np.maximum(np.fft.rfftfreq(length, 1 / rate_hz), 1e-9) / 440.0)).astype(np.int64)
    there = (keys >= LOWEST) & (keys < HIGHEST)
    summed = np.stack([np.bincount(keys[there] % 12, frame[there], 12) for frame in power])
    decibels = 10 * np.log10(summed / max(1e-12, float(summed.max())) + 1e-6)
    return np.concatenate([decibels.mean(0), decibels.std(0)])


def fit(kind: str, train: Examples, held: Examples, classes: int) -> Probe:
    """A probe: logistic regression, or ridge for a number (classes 0); `held` chooses how stiff."""
    mean, spread = train.features.mean(0), train.features.std(0) + 1e-6
    near, far = (Examples((each.features - mean) / spread, each.labels) for each in (train, held))
    tried = [_fitted(near, far, classes, penalty) for penalty in PENALTIES]
    _, weights, offset = max(tried, key=lambda each: each[0])
    return Probe(kind, mean, spread, weights, offset)


def _fitted(
    train: Examples, held: Examples, classes: int, penalty: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """How well it does on `held`, weights and offset."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if classes:
        model = LogisticRegression(C=penalty, max_iter=1000).fit(train.features, train.labels)
        return float(model.score(held.features, held.labels)), *_rows(model, classes)
    line = Ridge(alpha=1 / penalty).fit(train.features, train.labels)
    missed = float(np.abs(line.predict(held.features) - held.labels).mean())
    return -missed, line.coef_.reshape(-1, 1), np.array([float(line.intercept_)])


def _rows(model: object, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [features, classes] and offsets, also where some classes, or all but two, were not there to learn."""
    coef, intercept, there = model.coef_, model.intercept_, model.classes_  # type: ignore[attr-defined]
    if len(there) == 2:
        coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
    weights, offset = np.zeros((coef.shape[1], classes)), np.full(classes, -np.inf)
    for number, value in enumerate(there):
        weights[:, int(value)], offset[int(value)] = coef[number], intercept[number]
    return weights, offset


def balanced(labels: Sequence[float], count: int, seed: int) -> list[int]:
    """Up to `count` places, as many of each label where labels repeat; drawn."""
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    seen: dict[float, int] = {}
    rank = []
    for at in order:
        seen[labels[at]] = seen.get(labels[at], 0) + 1
        rank.append((seen[labels[at]], at))
    return [at for _, at in sorted(rank)[:count]]
