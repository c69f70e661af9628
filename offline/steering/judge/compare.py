"""Comparison: RFM against the other methods on the same takes, at strengths that other takes have chosen.

The first half of the takes choose the strength, the second half are reported: the best of several would flatter.
"""

from __future__ import annotations

import numpy as np

from offline.csvfile import Cell as Value
from offline.steering.judge.cells import UNSTEERED
from offline.steering.judge.figures import Findings, Hits, Rows
from offline.steering.judge.intervals import drawn_again

OURS = "rfm"


def compared(findings: Findings) -> Rows:
    """Rows of `OURS` against each other method and what is unsteered: each at its own best strength, and at ours."""
    half = findings.takes // 2
    if OURS not in findings.methods or not half or findings.kind == "tempo":
        return []
    best = {method: _best(findings, method, half) for method in findings.methods}
    ours = best[OURS]
    rows: Rows = []
    for method in [UNSTEERED, *(each for each in findings.methods if each != OURS)]:
        for way, strength in {"own best": best.get(method, 0.0), "the same": ours}.items():
            if way == "the same" and (method == UNSTEERED or strength == best[method]):
                continue
            row = _row(findings, ours, method, strength, half)
            if row:
                first: dict[str, Value] = {"concept": findings.title, "against": method, "strength": way}
                rows.append(first | {"rfm_strength": ours, "its_strength": strength} | row)
    return rows


def _best(findings: Findings, method: str, half: int) -> float:
    """The strength at which the mean over concepts is highest in the first half; of equals the weakest."""
    rates = {
        strength: float(np.mean([hits[:half].mean() for hits in every.values()]))
        for strength in findings.strengths
        if (every := _all(findings, method, strength))
    }
    return max(rates, key=lambda strength: (rates[strength], -abs(strength)), default=0.0)


def _all(findings: Findings, method: str, strength: float) -> dict[str, Hits]:
    """Hits by concept, of the cells that are there."""
    said = {concept: findings.said(concept, method, strength) for concept in findings.concepts}
    return {concept: findings.hits(concept, strength, heard) for concept, heard in said.items() if heard is not None}


def _row(findings: Findings, ours: float, method: str, strength: float, half: int) -> dict[str, Value]:
    """Over the concepts that both have."""
    own, its = _all(findings, OURS, ours), _all(findings, method, strength)
    both = [concept for concept in own if concept in its]
    if not both:
        return {}
    one, two = (np.mean([hits[concept][half:] for concept in both], axis=0) for hits in (own, its))
    low, high = drawn_again(lambda at: float((one - two)[at].mean()), len(one), findings.seed)
    return {
        "takes": len(one) * len(both), "rfm": float(one.mean()), "other": float(two.mean()),
        "difference": float((one - two).mean()), "low": low, "high": high,
    }  # fmt: skip
