"""Progress: one line on a terminal that is written over, lines in a log."""

from __future__ import annotations

import sys


def told(line: str, last: bool, logged: bool = True) -> None:
    """Show a line; last: it stays. logged: it is worth one of a log, as the last one is."""
    if sys.stderr.isatty():
        print(f"\r{line:<78}", end="\n" if last else "", file=sys.stderr, flush=True)
    elif logged or last:
        print(line, file=sys.stderr, flush=True)
