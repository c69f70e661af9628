"""Compare: what a model plays beside what is really played, genre by genre (genre_compare.csv)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offline.csvfile import Cell
from offline.notes.features import SCALARS, pitch_classes, scalars
from offline.notes.models import Song

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def compare(
    model: str, genre: str, played: Sequence[Song], real: Sequence[Song], other: Sequence[Song]
) -> list[dict[str, Cell]]:
    """Rows of one genre: its scalars, its pitch classes as a whole, and each degree of the key.

    distance: of scalars the earth mover's (Wasserstein 1) in standard deviations of the real, of pitch classes
    Jensen and Shannon's (0-1). floor: the same of `other` real excerpts, of other songs, from the real ones.
    """
    rows: list[dict[str, Cell]] = []
    values = [np.stack([scalars(song) for song in songs]) for songs in (played, real, other)]
    for i, name in enumerate(SCALARS):
        made, true, rest = (each[:, i] for each in values)
        rows.append({
            "model": model, "genre": genre, "feature": name, "songs": len(played), "songs_real": len(real),
            "mean": float(made.mean()), "mean_real": float(true.mean()),
            "sd": float(made.std()), "sd_real": float(true.std()),
            "distance": _moved(made, true), "floor": _moved(rest, true),
            **{f"q{q * 100:.0f}": float(np.quantile(made, q)) for q in QUANTILES},
            **{f"q{q * 100:.0f}_real": float(np.quantile(true, q)) for q in QUANTILES},
        })  # fmt: skip
    made, true, rest = (np.mean([pitch_classes(song) for song in songs], axis=0) for songs in (played, real, other))
    head: dict[str, Cell] = {"model": model, "genre": genre, "songs": len(played), "songs_real": len(real)}
    rows.append(
        {**head, "feature": "pitch classes", "distance": _divergence(made, true), "floor": _divergence(rest, true)}
    )
    for degree in range(12):
        rows.append(
            {**head, "feature": f"degree {degree}", "mean": float(made[degree]), "mean_real": float(true[degree])}
        )
    return rows


def _moved(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(one, other) / max(float(other.std()), 1e-9)) if other.std() else 0.0


def _divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(one, other, 2)) if one.any() and other.any() else 1.0
