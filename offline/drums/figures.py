"""Figures of an evaluation, as PNGs: bits a bar, F1 by instrument, free running, feel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from engines.music import DRUMS
from offline.csvfile import Cell
from offline.drums.results import REAL, Result

_HEIGHT_IN = 3.2
_WIDTH_IN = 9.0


def draw(results: Sequence[Result], folder: Path, seed: int) -> list[Path]:
    """Draw what there is to draw; a row of axes per part. Returns the files written.

    Raises SidemanError where matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as problem:
        raise SidemanError("figures need matplotlib: pip install matplotlib, or pass --no-figures") from problem
    matplotlib.use("Agg")
    rows = [result.row(seed) for result in results]
    painters: dict[str, Callable[[Any, list[dict[str, Cell]]], bool]] = {
        "bits.png": _bits,
        "f1.png": _f1,
        "playing.png": _playing,
        "feel.png": _feel,
    }
    return [folder / name for name, painter in painters.items() if _figure(rows, folder / name, painter)]


def _figure(rows: list[dict[str, Cell]], path: Path, painter: Callable[[Any, list[dict[str, Cell]]], bool]) -> bool:
    from matplotlib import pyplot

    parts = list(dict.fromkeys(str(row["part"]) for row in rows))
    figure, axes = pyplot.subplots(
        len(parts), 1, figsize=(_WIDTH_IN, _HEIGHT_IN * len(parts)), squeeze=False, layout="constrained"
    )
    drawn = [painter(axis, [row for row in rows if row["part"] == part])
             for part, axis in zip(parts, axes[:, 0], strict=True)]  # fmt: skip
    for part, axis in zip(parts, axes[:, 0], strict=True):
        axis.set_title(part, loc="left")
    if any(drawn):
        figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return any(drawn)


def _having(rows: list[dict[str, Cell]], column: str) -> list[dict[str, Cell]]:
    return [row for row in rows if row.get(column) is not None]


def _names(rows: list[dict[str, Cell]]) -> list[str]:
    return [str(row["model"]) for row in rows]


def _bits(axis: Any, rows: list[dict[str, Cell]]) -> bool:
    shown = _having(rows, "bits_per_bar")
    if not shown:
        return False
    middle, low, high = (_values(shown, column) for column in ("bits_per_bar", "bits_low", "bits_high"))
    below = [m - lo for m, lo in zip(middle, low, strict=True)]
    above = [hi - m for m, hi in zip(middle, high, strict=True)]
    axis.barh(_names(shown), middle, xerr=[below, above], color="tab:blue", ecolor="black", capsize=3)
    axis.invert_yaxis()
    axis.set_xlabel("fair bits a bar, with the 95 % interval by file (less is better)")
    return True


def _f1(axis: Any, rows: list[dict[str, Cell]]) -> bool:
    shown = _having(rows, "f1_micro")
    width = 0.8 / max(1, len(shown))
    for i, row in enumerate(shown):
        heights = [float(row.get(f"f1_{drum.name}") or 0.0) for drum in DRUMS]
        axis.bar([x + i * width for x in range(len(DRUMS))], heights, width, label=str(row["model"]))
    if not shown:
        return False
    axis.set_xticks([x + 0.4 - width / 2 for x in range(len(DRUMS))], [drum.name for drum in DRUMS], fontsize=8)
    axis.set_ylabel("F1 of the likeliest hits")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return True


def _playing(axis: Any, rows: list[dict[str, Cell]]) -> bool:
    """Repeats of each trial, the real share as a line."""
    trials = [column.removesuffix("_repeats") for row in rows[:1] for column in row if column.endswith("_repeats")]
    shown = [row for row in rows if row["model"] != REAL and any(f"{trial}_repeats" in row for trial in trials)]
    real = [row for row in rows if row["model"] == REAL]
    if not shown or not real:
        return False
    width = 0.8 / len(trials)
    for i, trial in enumerate(trials):
        heights = _values(shown, f"{trial}_repeats")
        axis.bar([x + i * width for x in range(len(shown))], heights, width, label=trial.replace("_", " "))
    axis.axhline(_values(real, f"{trials[0]}_repeats")[0], color="black", linestyle="--", label=REAL)
    axis.set_xticks([x + 0.3 for x in range(len(shown))], _names(shown), fontsize=8)
    axis.set_ylabel("bars equal to the one before")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return True


def _feel(axis: Any, rows: list[dict[str, Cell]]) -> bool:
    """Timing against velocity error: one dot per model or control, hollow when it goes on from the real feel."""
    any_dot = False
    for kind, face in (("hits", "tab:blue"), ("continuing", "none")):
        for row in _having(rows, f"timing_mae_ms_{kind}"):
            x, y = float(row[f"timing_mae_ms_{kind}"] or 0), float(row[f"velocity_mae_{kind}"] or 0)
            axis.scatter(x, y, facecolors=face, edgecolors="tab:blue")
            axis.annotate(f"{row['model']} ({kind})", (x, y), fontsize=7, xytext=(4, 4), textcoords="offset points")
            any_dot = True
    axis.margins(0.25)
    axis.set_xlabel("timing error, ms")
    axis.set_ylabel("velocity error")
    return any_dot


def _values(rows: list[dict[str, Cell]], column: str) -> list[float]:
    return [float(row.get(column) or 0.0) for row in rows]
