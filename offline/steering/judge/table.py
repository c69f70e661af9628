"""The tables that `sideman evaluate steering` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from offline.csvfile import Cell as Value
from offline.steering.judge.figures import Findings, Rows


def whole(findings: Findings, rows: Rows) -> str:
    """Every figure of the mean of all classes, or of the one that there is."""
    first = str(rows[0]["concept"])
    chosen = [row for row in rows if row["concept"] == first]
    tempo = findings.kind == "tempo"
    columns = ["way", "moved it" if tempo else "target", "95 %", "other", "abstained", "voiced", "apart dB",
               "level dB", "text nats", "95 %"]  # fmt: skip
    columns[6:6] = ["bpm", "95 %", "probe bpm"] if tempo else ["probe", "95 %"]
    lines = []
    for row in chosen:
        cells = [way(row), share(row, "target"), between(row, "target"), share(row, "other"), share(row, "abstained"),
                 share(row, "voiced"), number(row, "apart_db", 1), number(row, "level_db", 1),
                 number(row, "text_nats", 3), between(row, "text", 3)]  # fmt: skip
        cells[6:6] = (
            [number(row, "bpm", 0), between(row, "bpm", 0), number(row, "probe_bpm", 0)]
            if tempo
            else [share(row, "probe"), between(row, "probe")]
        )
        lines.append(cells)
    return f"{first}, {findings.takes} clips of each\n{grid([columns, *lines])}"


def by_class(findings: Findings, rows: Rows) -> str:
    """Target rates: a line a class, a column a way."""
    ways = list(dict.fromkeys(way(row) for row in rows))
    told = {(str(row["concept"]), way(row)): share(row, "target") for row in rows}
    lines = [[concept, *(told.get((concept, each), "") for each in ways)] for concept in findings.concepts]
    return f"target rate, {findings.takes} clips a cell\n{grid([['', *ways], *lines])}"


def plain(rows: Rows) -> str:
    """Rows under the union of their columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return grid([columns, *([_plain(row.get(column)) for column in columns] for row in rows)])


def grid(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them; the first one to the left."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    lines = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def way(row: dict[str, Value]) -> str:
    """Such as "rfm .2"."""
    strength = row["strength"]
    return f"{row['method']} {short(float(strength))}" if strength else str(row["method"])


def share(row: dict[str, Value], key: str) -> str:
    """A share as ".25"; "" where there is none."""
    value = row.get(key)
    return "" if value is None or math.isnan(float(value)) else short(round(float(value), 2), 2)


def number(row: dict[str, Value], key: str, digits: int) -> str:
    """A figure; "" where there is none."""
    value = row.get(key)
    return "" if value is None or math.isnan(float(value)) else f"{float(value):.{digits}f}"


def between(row: dict[str, Value], key: str, digits: int = 2) -> str:
    """An interval; "" where there is none."""
    low, high = (number(row, f"{key}_{end}", digits) for end in ("low", "high"))
    return f"{low}-{high}" if low and high and not low.startswith("-") else f"{low} to {high}" if low and high else ""


def short(value: float, digits: int | None = None) -> str:
    """Without the 0 before the point."""
    text = f"{value:g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _plain(value: Value) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
