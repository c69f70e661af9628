"""Figures: what the judges said, as rows. An abstention is a miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offline.csvfile import Cell as Value
from offline.steering.concepts import concept_of
from offline.steering.judge.cells import UNSTEERED, Cell, Source
from offline.steering.judge.hearing import Heard
from offline.steering.judge.intervals import drawn_again, mean, median, rank_correlation, wilson
from offline.steering.judge.notes import CHORDS, NOBODY
from offline.steering.judge.spectrum import apart_db

Rows = list[dict[str, Value]]
Hits = NDArray[np.float64]

NEAR = 0.04
"""Of a tempo: less is no change, and an estimate so near is right."""


def class_of(concept: str) -> int:
    """The number of a concept's class, as the judges say it. note:D is 2, chord:min 1."""
    value = concept_of(concept).value
    return CHORDS.index(str(value)) if isinstance(value, str) else int(value or 0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was heard of the cells that came to something. takes: of each cell; kind: of all of them."""

    kind: str
    takes: int
    seed: int
    heard: Mapping[tuple[str, str, float], Heard]

    @classmethod
    def of(cls, kind: str, heard: Mapping[Cell, Heard], takes: int, seed: int) -> Findings:
        """Those of one kind of concept."""
        own = {(cell.concept, cell.method, cell.strength): said for cell, said in heard.items() if cell.kind == kind}
        return cls(kind, takes, seed, own)

    @property
    def unsteered(self) -> Heard | None:
        """What was heard where nothing steers."""
        return self.heard.get((self.kind, UNSTEERED, 0.0))

    @property
    def concepts(self) -> list[str]:
        """That were steered to."""
        return list(dict.fromkeys(concept for concept, method, _ in self.heard if method != UNSTEERED))

    @property
    def title(self) -> str:
        """What the mean of all concepts is called."""
        return self.concepts[0] if len(self.concepts) == 1 else f"{self.kind}, {len(self.concepts)} classes"

    @property
    def methods(self) -> list[str]:
        """That steered, in their order."""
        return list(dict.fromkeys(method for _, method, _ in self.heard if method != UNSTEERED))

    @property
    def strengths(self) -> list[float]:
        """That they steered with."""
        return sorted({strength for _, method, strength in self.heard if method != UNSTEERED})

    def said(self, concept: str, method: str, strength: float) -> Heard | None:
        """Of a cell; what is unsteered is one for all concepts."""
        return self.unsteered if method == UNSTEERED else self.heard.get((concept, method, strength))

    def hits(self, concept: str, strength: float, heard: Heard) -> Hits:
        """[takes]: 1 where the concept was heard. Of a tempo: that it went the way it was pushed, against unsteered."""
        if self.kind == "tempo":
            return self._went(heard, strength)
        return np.asarray(heard.named == class_of(concept), np.float64)

    def others(self, concept: str, strength: float, heard: Heard) -> Hits:
        """[takes]: 1 where another class was heard, or the tempo went the other way."""
        if self.kind == "tempo":
            return self._went(heard, -strength)
        return np.asarray((heard.named != class_of(concept)) & (heard.named != NOBODY), np.float64)

    def _went(self, heard: Heard, way: float) -> Hits:
        if self.unsteered is None:
            return np.zeros(len(heard))
        ratio = heard.bpm / self.unsteered.bpm
        with np.errstate(invalid="ignore"):
            return np.asarray(ratio > 1 + NEAR if way > 0 else ratio < 1 / (1 + NEAR), np.float64)

    def rows(self) -> Rows:
        """A row for each cell, those that are unsteered once for each concept, and for the mean of all concepts."""
        ways = [(UNSTEERED, 0.0), *((method, strength) for method in self.methods for strength in self.strengths)]
        rows: Rows = []
        if len(self.concepts) > 1:
            rows += [self._row(self.concepts, *way) for way in ways]
        for concept in self.concepts:
            rows += [self._row([concept], *way) for way in ways]
        return [row for row in rows if row]

    def _row(self, concepts: Sequence[str], method: str, strength: float) -> dict[str, Value]:
        """The mean over concepts, those whose cell failed left out."""
        heard = {concept: self.said(concept, method, strength) for concept in concepts}
        there = {concept: said for concept, said in heard.items() if said is not None}
        if not there:
            return {}
        name = concepts[0] if len(concepts) == 1 else self.title
        clips = self.takes if method == UNSTEERED else sum(map(len, there.values()))
        row: dict[str, Value] = {"concept": name, "method": method, "strength": strength, "clips": clips}
        if len(there) < len(concepts):
            row["failed"] = len(concepts) - len(there)
        if self.kind != "tempo" or method != UNSTEERED:
            hits = np.stack([self.hits(concept, strength, said) for concept, said in there.items()])
            low, high = self._interval(hits)
            row |= {"target": float(hits.mean()), "target_low": low, "target_high": high}
            row["other"] = float(np.mean([self.others(concept, strength, said) for concept, said in there.items()]))
        pulse = self.kind == "tempo"
        silent = [np.isnan(said.bpm) if pulse else said.named == NOBODY for said in there.values()]
        row["abstained"] = float(np.mean(silent))
        if not pulse and all(np.isfinite(said.probe).all() for said in there.values()):
            probed = np.stack([said.probe == class_of(concept) for concept, said in there.items()]).astype(np.float64)
            low, high = self._interval(probed)
            row |= {"probe": float(probed.mean()), "probe_low": low, "probe_high": high}
        if self.kind == "tempo":
            row |= self._tempo(next(iter(there.values())))
        return row | self._damage(list(there.values()), method)

    def _tempo(self, heard: Heard) -> dict[str, Value]:
        low, high = drawn_again(lambda at: median(heard.bpm[at]), len(heard), self.seed)
        return {"bpm": median(heard.bpm), "bpm_low": low, "bpm_high": high, "probe_bpm": median(heard.probe)}

    def _interval(self, hits: Hits) -> tuple[float, float]:
        """Of the mean of hits [concepts, takes]: Wilson's of one concept, else by drawing takes again.

        Where all takes are alike there is nothing to draw, and they count once each, not once a concept.
        """
        by_take = hits.mean(0)
        if len(hits) == 1 or by_take.std() == 0.0:
            return wilson(round(float(by_take.sum())), len(by_take))
        return drawn_again(lambda at: float(by_take[at].mean()), len(by_take), self.seed)

    def _damage(self, heard: Sequence[Heard], method: str) -> dict[str, Value]:
        """What else became of the sound."""
        text = np.concatenate([each.text for each in heard])
        level = np.concatenate([each.level_db for each in heard])
        row: dict[str, Value] = {"voiced": mean(np.concatenate([each.voiced for each in heard]))}
        if self.unsteered is not None:
            own = self.unsteered.bands
            # Of unsteered takes: from one of another seed, half of all takes on, so that the prompt is the same.
            other = np.roll(own, -max(1, self.takes // 2), axis=0) if method == UNSTEERED else own
            row["apart_db"] = float(
                np.mean([apart_db(*two) for each in heard for two in zip(each.bands, other, strict=True)])
            )
        row["level_db"] = mean(level)
        if len(text):
            by_take = np.mean([each.text for each in heard], axis=0)
            low, high = drawn_again(lambda at: float(by_take[at].mean()), len(by_take), self.seed)
            row |= {"text_nats": mean(text), "text_low": low, "text_high": high}
        return row


def source_row(source: Source, heard: Heard, seed: int) -> dict[str, Value]:
    """How right the judges are of sounds whose class is known."""
    labels = np.array(source.labels)
    row: dict[str, Value] = {"kind": source.kind, "sound": source.title, "coded": int(source.coded),
                             "clips": len(heard)}  # fmt: skip
    known = bool((labels >= 0).all())
    if source.kind == "tempo":
        named = np.isfinite(heard.bpm)
        error = np.abs(heard.bpm / np.where(labels > 0, labels, np.nan) - 1)
        right = np.nan_to_num(error, nan=1.0) <= NEAR
    else:
        named, right = heard.named != NOBODY, heard.named == labels
    if known:
        low, high = wilson(int(right.sum()), len(right))
        row |= {"right": float(right.mean()), "right_low": low, "right_high": high}
    row |= {"wrong": float((named & ~right).mean()), "abstained": float((~named).mean())}
    if known and source.kind == "tempo":
        row |= {"median_error": median(error)}
        if not np.isnan(heard.probe).all():
            row["probe_error"] = median(np.abs(heard.probe / labels - 1))
            row["probe_correlation"] = rank_correlation(heard.probe, labels)
    elif known:
        row |= {"basic_pitch": float((heard.basic == labels).mean()),
                "harmonic_sum": float((heard.harmonic == labels).mean())}  # fmt: skip
        if not np.isnan(heard.probe).all():
            row["probe_right"] = float((heard.probe == labels).mean())
    return row | {"level_db": mean(heard.level_db)}


def tempo_ranks(findings: Findings) -> Rows:
    """For each method, the rank correlation of strength and tempo over all takes that have a pulse, 0 among them."""
    rows: Rows = []
    if findings.unsteered is None:
        return rows
    for method in findings.methods:
        cells = {0.0: findings.unsteered.bpm}
        for strength in findings.strengths:
            heard = findings.said("tempo", method, strength)
            if heard is not None:
                cells[strength] = heard.bpm
        strengths, bpm = np.array(list(cells)), np.stack(list(cells.values()))

        def ranked(at: NDArray[np.int64], x: Hits = strengths, y: Hits = bpm) -> float:
            return rank_correlation(np.repeat(x, len(at)), y[:, at].ravel())

        low, high = drawn_again(ranked, bpm.shape[1], findings.seed)
        row: dict[str, Value] = {
            "concept": "tempo",
            "method": method,
            "rank_correlation": ranked(np.arange(bpm.shape[1])),
        }
        rows.append(row | {"low": low, "high": high, "pulses": int(np.isfinite(bpm).sum()), "takes": bpm.size})
    return rows
