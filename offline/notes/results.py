"""Results: what models of notes pay for real music, as rows of model_metrics.csv and as a table to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import OFFSET
from offline.bootstrap import means, middle
from offline.csvfile import Cell
from offline.notes.models import FIELDS, Scored, Song
from offline.notes.songs import ALL, MACRO, REST

SEED_ROW: dict[str, Cell] = {
    "model": "the seed, as published",
    "part": "its own test split",
    "loss": 0.68,
    "perplexity": 1.97,
}
"""The seed's README; its data, its split by file and its tokens are not ours (docs/MODELS.md, notes)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a model pays for the songs of a part.

    charged: [S, FIELDS] bits of each song that count; notes, beats: [S]; nats, decisions: [S] of all decisions, those
    that are not charged among them; group: [S]
    """

    model: str
    part: str
    charged: NDArray[np.float64]
    notes: NDArray[np.int64]
    beats: NDArray[np.float64]
    nats: NDArray[np.float64]
    decisions: NDArray[np.int64]
    group: NDArray[np.str_]

    @classmethod
    def of(cls, name: str, part: str, model: Scored, songs: Sequence[Song]) -> Result:
        """Score songs, those without tokens left out where the model reads them; at least one must be left."""
        paid = [(song, model.bits(song)) for song in songs if song.tokens is not None or not model.reads_tokens]
        return cls(
            name, part,
            np.stack([bits.charged(song.velocity) for song, bits in paid]),
            np.array([bits.notes for _, bits in paid]),
            np.array([song.beats for song, _ in paid]),
            np.array([bits.bits.sum() * math.log(2) for _, bits in paid]),
            np.array([len(bits.bits) for _, bits in paid]),
            np.array([song.group for song, _ in paid]),
        )  # fmt: skip

    def drawn(self, seed: int) -> NDArray[np.float64]:
        """Bits a note of so many draws of its groups; files of one group are no independent witnesses."""
        _, group = np.unique(self.group, return_inverse=True)
        return means(
            np.bincount(group, self.charged.sum(1)).astype(np.float64),
            np.bincount(group, self.notes).astype(np.int64),
            seed,
        )

    def figures(self) -> dict[str, float]:
        """Bits a note and their parts, bits a beat, loss in nats a decision, perplexity."""
        notes, fields = self.notes.sum(), self.charged.sum(0)
        loss = float(self.nats.sum() / self.decisions.sum())
        return {
            "bits_per_note": float(fields.sum() / notes),
            "bits_per_note_on_grid": float((fields.sum() - fields[OFFSET]) / notes),
            "bits_per_beat": float(fields.sum() / self.beats.sum()),
            "loss": loss,
            "perplexity": math.exp(loss),
        } | {f"bits_{name}": float(spent / notes) for name, spent in zip(FIELDS, fields, strict=True)}


def rows_of(results: Sequence[Result], seed: int) -> list[dict[str, Cell]]:
    """Rows of model_metrics.csv of one model: a part each, their mean where several parts count, and all songs."""
    rows: list[dict[str, Cell]] = []
    for result in results:
        rows.append(_row([result], result.part, result.figures(), result.drawn(seed)))
    counted = [result for result in results if result.part != REST]
    if len(counted) > 1:
        figures = [result.figures() for result in counted]
        mean = {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}
        drawn = np.mean([result.drawn(seed) for result in counted], axis=0)
        rows.append(_row(counted, MACRO, mean, drawn))
    if len(results) > 1:
        whole = _joined(results)
        rows.append(_row([whole], ALL, whole.figures(), whole.drawn(seed)))
    return rows


def _joined(results: Sequence[Result]) -> Result:
    """Results of one model on several parts as one."""
    return replace(
        results[0],
        charged=np.concatenate([each.charged for each in results]),
        notes=np.concatenate([each.notes for each in results]),
        beats=np.concatenate([each.beats for each in results]),
        nats=np.concatenate([each.nats for each in results]),
        decisions=np.concatenate([each.decisions for each in results]),
        group=np.concatenate([each.group for each in results]),
    )


def _row(
    results: Sequence[Result], part: str, figures: Mapping[str, float], drawn: NDArray[np.float64]
) -> dict[str, Cell]:
    low, high = middle(drawn)
    songs, notes = sum(len(each.notes) for each in results), sum(int(each.notes.sum()) for each in results)
    first: dict[str, Cell] = {"model": results[0].model, "part": part, "songs": songs, "notes": notes}
    return first | {**figures, "bits_low": low, "bits_high": high}


def render(rows: Sequence[dict[str, Cell]], figure: str, title: str) -> str:
    """A table to read: a line a model, a column a part."""
    models = list(dict.fromkeys(str(row["model"]) for row in rows if row.get(figure) is not None))
    parts = list(dict.fromkeys(str(row["part"]) for row in rows if row.get(figure) is not None))
    cells = {(row["model"], row["part"]): row.get(figure) for row in rows}
    margin = max(len(word) for word in (title, *models)) + 2
    widths = [max(8, len(part) + 2) for part in parts]
    lines = [title.ljust(margin) + "".join(part.rjust(width) for part, width in zip(parts, widths, strict=True))]
    for model in models:
        found = [cells.get((model, part)) for part in parts]
        words = [f"{cell:.2f}" if isinstance(cell, float) else "" for cell in found]
        lines.append(model.ljust(margin) + "".join(w.rjust(width) for w, width in zip(words, widths, strict=True)))
    return "\n".join(lines)
