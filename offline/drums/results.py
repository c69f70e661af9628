"""Results: what `sideman evaluate drums` found, as rows of metrics.csv and as tables to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.music import DRUMS
from offline.bootstrap import interval
from offline.csvfile import Cell
from offline.drums.feel import Feel
from offline.drums.freerun import Playing, Trial
from offline.drums.metrics import Scores, total

REAL = "real"
SEED_ROW: dict[str, Cell] = {
    "model": "the seed, as published",
    "part": "its own test split",
    "accuracy": 0.5559,
    "perplexity": 4.8042,
}
"""The seed's README, "Tuned" run; its data set is not ours, so only the order of size compares."""


@dataclass(frozen=True, slots=True)
class Result:
    """One model, baseline or control on one part.

    scores:  by file, teacher-forced; empty for what has no distribution (controls of feel, the real bars)
    playing: by trial, free running
    feel:    "hits" (from the hits alone) and "continuing" (knowing the real feel so far)
    has_tokens: a vocabulary was there for the seed's accuracy and perplexity
    """

    model: str
    part: str
    scores: dict[str, Scores] = field(default_factory=dict)
    playing: dict[str, Playing] = field(default_factory=dict)
    feel: dict[str, Feel] = field(default_factory=dict)
    has_tokens: bool = False

    def row(self, seed: int) -> dict[str, Cell]:
        """The row of metrics.csv; shares from 0 to 1."""
        row: dict[str, Cell] = {"model": self.model, "part": self.part}
        if self.scores:
            row |= self._score_cells(seed)
        for kind, feel in self.feel.items():
            row |= {f"timing_mae_ms_{kind}": feel.timing_mae_ms, f"velocity_mae_{kind}": feel.velocity_mae}
        for trial, played in self.playing.items():
            row |= {
                f"{trial}_repeats": played.repeats,
                f"{trial}_hits_per_bar": played.hits,
                f"{trial}_silent": played.silent,
                f"{trial}_velocity_spread": played.velocity_spread,
                f"{trial}_timing_spread_ms": played.timing_spread_ms,
                f"{trial}_bars": played.bars,
            }
        return row

    def _score_cells(self, seed: int) -> dict[str, Cell]:
        joined = total(list(self.scores.values()))
        low, high = interval(
            np.array([scores.bits for scores in self.scores.values()]),
            np.array([scores.bars for scores in self.scores.values()]),
            seed,
        )
        cells: dict[str, Cell] = {"files": len(self.scores), "bars": joined.bars}
        if self.has_tokens:
            cells |= {"accuracy": joined.accuracy, "perplexity": joined.perplexity}
        cells |= {
            "bits_per_bar": joined.bits_per_bar,
            "bits_low": low,
            "bits_high": high,
            "step_accuracy": joined.right_steps / joined.steps,
            "exact_bar": joined.exact,
            "f1_micro": joined.f1_micro,
            "f1_macro": joined.f1_macro,
            "hits_per_bar_real": float((joined.true + joined.missed).sum() / joined.bars),
            "hits_per_bar_greedy": float((joined.true + joined.false).sum() / joined.bars),
        }
        for drum, f1 in zip(DRUMS, joined.f1, strict=True):
            cells[f"f1_{drum.name}"] = None if np.isnan(f1) else float(f1)
        return cells


@dataclass(frozen=True, slots=True)
class Comparison:
    """Bits a bar of `one` minus those of `other`, paired by file: below 0, `one` is better.

    low, high: 95 % interval by bootstrap over files; better: share of files on which `one` is better
    """

    part: str
    one: str
    other: str
    difference: float
    low: float
    high: float
    better: float
    files: int

    @classmethod
    def of(cls, one: Result, other: Result, seed: int) -> Comparison:
        """Compare two results on the same part."""
        paths = list(one.scores)
        bars = np.array([one.scores[path].bars for path in paths])
        bits = np.array([one.scores[path].bits - other.scores[path].bits for path in paths])
        low, high = interval(bits, bars, seed)
        mean, better = float(bits.sum() / bars.sum()), float((bits < 0).mean())
        return cls(one.part, one.model, other.model, mean, low, high, better, len(paths))

    def __str__(self) -> str:
        return (
            f"{self.part}: {self.one} - {self.other} = {self.difference:+.2f} bits/bar "
            f"[{self.low:+.2f}, {self.high:+.2f}], better on {self.better:.0%} of {self.files} files"
        )


def render(results: Sequence[Result], trials: dict[str, Trial], seed: int) -> str:
    """The tables of one part to read."""
    rows = [result.row(seed) for result in results]
    tables = [
        ("next mask, teacher-forced", _SCORE_COLUMNS),
        ("free running: bars = previous, hits/bar, silent", [_playing_column(trial) for trial in trials]),
        ("feel: mean absolute error, spread", _FEEL_COLUMNS),
    ]
    blocks = [_table(rows, columns, title) for title, columns in tables]
    return "\n\n".join(block for block in blocks if block)


Column = tuple[str, str, Sequence[str]]
"""Heading, template, and the columns of metrics.csv that fill it."""

_SCORE_COLUMNS: list[Column] = [
    ("accuracy", "{:.4f}", ["accuracy"]),
    ("perplexity", "{:.2f}", ["perplexity"]),
    ("bits/bar", "{:.2f}", ["bits_per_bar"]),
    ("95 %", "{:.1f}-{:.1f}", ["bits_low", "bits_high"]),
    ("exact bars", "{:.1%}", ["exact_bar"]),
    ("F1", "{:.3f}", ["f1_micro"]),
    ("macro F1", "{:.3f}", ["f1_macro"]),
    ("hits/bar", "{:.1f}", ["hits_per_bar_greedy"]),
]
_FEEL_COLUMNS: list[Column] = [
    ("ms, hits only", "{:.1f}", ["timing_mae_ms_hits"]),
    ("velocity", "{:.1f}", ["velocity_mae_hits"]),
    ("ms, going on", "{:.1f}", ["timing_mae_ms_continuing"]),
    ("velocity", "{:.1f}", ["velocity_mae_continuing"]),
    ("SD ms", "{:.1f}", ["primed_t1_timing_spread_ms"]),
    ("SD velocity", "{:.1f}", ["primed_t1_velocity_spread"]),
]


def _playing_column(trial: str) -> Column:
    names = [f"{trial}_repeats", f"{trial}_hits_per_bar", f"{trial}_silent"]
    return trial.replace("_t", ", T ").replace("_", " "), "{:.1%} {:.1f} {:.1%}", names


def _table(rows: Sequence[dict[str, Cell]], columns: Sequence[Column], title: str) -> str:
    """Only the rows that have one of the columns; "" when none has."""
    lines = []
    widths = [max(len(heading), 12 if len(names) == 1 else 18) + 2 for heading, _, names in columns]
    margin = max([len(title), *(len(str(row["model"])) for row in rows)])
    for row in rows:
        cells = [
            template.format(*(row[name] for name in names)) if all(row.get(n) is not None for n in names) else ""
            for _, template, names in columns
        ]
        if any(cells):
            body = "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append(str(row["model"]).ljust(margin) + body)
    head = title.ljust(margin) + "".join(h.rjust(width) for (h, _, _), width in zip(columns, widths, strict=True))
    return "\n".join([head, *lines]) if lines else ""
