"""What measurements are shown as: a row against its target, percentiles, and how errors are spread."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

EDGES_MS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Where one class of errors ends and the next begins; the last is open."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. target: what it is held against, in words; passed: None where there is no target here."""

    name: str
    figure: str
    target: str = ""
    passed: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "pass", False: "MISS"}[self.passed]
        return f"{self.name:<48} {self.figure:<34} {self.target:<18} {verdict}".rstrip()


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all are below or at."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def histogram(errors_ms: Sequence[float], edges_ms: Sequence[float] = EDGES_MS) -> str:
    """How many per cent of the errors, whatever their sign, lie in each class that has any."""
    counts = [0] * (len(edges_ms) + 1)
    for error_ms in errors_ms:
        counts[bisect_right(edges_ms, abs(error_ms))] += 1
    names = [*(f"<{edge:g}".replace("<0.", "<.") for edge in edges_ms), f">={edges_ms[-1]:g}"]
    shares = [f"{name}: {_percent(count / len(errors_ms))}" for name, count in zip(names, counts, strict=True) if count]
    return f"ms {', '.join(shares)}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %" if share >= 0.01 else f"{share * 100:.2g} %"
