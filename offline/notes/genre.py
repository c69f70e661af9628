"""Genre: whether a judge who knows only real music names the genre that a model was asked for.

The judge is a random forest (Breiman 2001) on offline.notes.features. Genre is nearly the source in most collections,
and may be learned from how a source writes; a second judge knows one kind of source alone (docs/MODELS.md, notes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offline.csvfile import Cell
from offline.notes.features import vector
from offline.notes.models import Song

TREES = 200
REAL = "real"


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Excerpts as a judge sees them: vectors [N, F] of offline.notes.features, genre and source [N]."""

    vectors: NDArray[np.float32]
    genre: NDArray[np.str_]
    source: NDArray[np.str_]

    @classmethod
    def of(cls, songs: Sequence[Song]) -> Self:
        """Of songs that are no longer than an excerpt, at least one."""
        return cls(
            np.stack([vector(song) for song in songs]),
            np.array([song.genre for song in songs]),
            np.array([song.source for song in songs]),
        )

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        return replace(self, vectors=self.vectors[chosen], genre=self.genre[chosen], source=self.source[chosen])

    def __len__(self) -> int:
        return len(self.genre)


@dataclass(frozen=True, slots=True)
class Judge:
    """name: what it knows; genres: in the order of its answers; forest: of scikit-learn."""

    name: str
    genres: tuple[str, ...]
    forest: Any

    @classmethod
    def taught(cls, name: str, heard: Excerpts, seed: int) -> Self:
        """A judge who heard these real excerpts, all genres as important as each other."""
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            TREES, min_samples_leaf=2, class_weight="balanced_subsample", random_state=seed, n_jobs=1
        )
        forest.fit(heard.vectors, heard.genre)
        return cls(name, tuple(map(str, forest.classes_)), forest)

    def answers(self, excerpts: Excerpts) -> NDArray[np.float64]:
        """Probability of each genre for each excerpt [N, G]."""
        answers: NDArray[np.float64] = self.forest.predict_proba(excerpts.vectors)
        return answers


@dataclass(frozen=True, slots=True)
class Verdict:
    """How often a judge named each genre: counts [G asked, G named], over the judge's genres."""

    judge: str
    subject: str
    genres: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, judge: Judge, subject: str, excerpts: Excerpts) -> Self:
        """Of excerpts, real or played; those of genres that the judge does not know are left out."""
        counts = np.zeros((len(judge.genres),) * 2, np.int64)
        known = excerpts[np.isin(excerpts.genre, judge.genres)]
        if len(known):
            asked = [judge.genres.index(genre) for genre in known.genre]
            np.add.at(counts, (asked, judge.answers(known).argmax(1)), 1)
        return cls(judge.name, subject, judge.genres, counts)

    def rows(self, mix: NDArray[np.int64] | None = None) -> list[dict[str, Cell]]:
        """Rows of genre_classifier.csv: each genre's, then all together.

        mix: [G] real excerpts of each genre, to weigh by. recognised is the share of excerpts, recognised_mean the mean
        over genres, recognised_mix the mean weighted by mix; chance: 1 / genres; majority: the largest weight's share
        """
        total, right = self.counts.sum(1), np.diag(self.counts)
        shares = right / np.maximum(total, 1)
        rows: list[dict[str, Cell]] = [
            {"judge": self.judge, "subject": self.subject, "genre": genre, "excerpts": int(count),
             "recognised": float(share)}
            for genre, count, share in zip(self.genres, total, shares, strict=True) if count
        ]  # fmt: skip
        there = total > 0
        if there.any():
            weights = np.where(there, total if mix is None else mix, 0)
            rows.append({
                "judge": self.judge, "subject": self.subject, "genre": "all", "excerpts": int(total.sum()),
                "recognised": float(right.sum() / total.sum()),
                "recognised_mean": float(shares[there].mean()),
                "recognised_mix": float((shares * weights).sum() / max(1, weights.sum())),
                "chance": 1 / len(self.genres),
                "majority": float(weights.max() / max(1, weights.sum())),
            })  # fmt: skip
        return rows

    def confusion(self) -> list[dict[str, Cell]]:
        """Rows of genre_confusion.csv: how often one genre was named for another."""
        return [
            {"judge": self.judge, "subject": self.subject, "asked": asked, "named": named, "excerpts": int(count)}
            for asked, row in zip(self.genres, self.counts, strict=True) if row.sum()
            for named, count in zip(self.genres, row, strict=True)
        ]  # fmt: skip


def blend_rows(
    judge: Judge, model: str, pair: tuple[str, str], played: Mapping[float, Excerpts]
) -> list[dict[str, Cell]]:
    """Rows of genre_blend.csv: what a judge says of a blend of two genres, by the share of the second."""
    rows: list[dict[str, Cell]] = []
    first, second = (judge.genres.index(genre) for genre in pair)
    for amount, excerpts in played.items():
        answers = judge.answers(excerpts)
        rows.append({
            "judge": judge.name, "model": model, "genre": pair[0], "blend": pair[1], "blend_amount": amount,
            "excerpts": len(excerpts),
            "p_genre": float(answers[:, first].mean()), "p_blend": float(answers[:, second].mean()),
        })  # fmt: skip
    return rows


def draw_confusion(path: Path, verdicts: Sequence[Verdict]) -> None:
    """One judge's verdicts side by side as a PNG: a row the genre asked for, a column the one named."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = 1.6 + 0.36 * len(verdicts[0].genres)
    figure, axes = pyplot.subplots(
        1, len(verdicts), figsize=(size * len(verdicts), size), squeeze=False, layout="constrained"
    )
    for axis, verdict in zip(axes[0], verdicts, strict=True):
        shares = verdict.counts / np.maximum(verdict.counts.sum(1, keepdims=True), 1)
        axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        axis.set_xticks(range(len(verdict.genres)), verdict.genres, rotation=90)
        axis.set_yticks(range(len(verdict.genres)), verdict.genres)
        axis.set_xlabel("named")
        axis.set_ylabel("asked")
        axis.set_title(f"{verdict.subject}, judged by {verdict.judge}", loc="left", fontsize=9)
        for row, column in np.argwhere(shares >= 0.005):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axis.text(column, row, f"{shares[row, column]:.0%}".rstrip("%"), ha="center", va="center", fontsize=6,
                      color=colour)  # fmt: skip
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
