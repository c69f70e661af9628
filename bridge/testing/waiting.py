"""Waiting in tests: for what happens, and no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 20.0
"""How long what is waited for may take."""

LOOK_S = 0.02

T = TypeVar("T")


def until(there: Callable[[], T], what: object = "what was waited for", woken_by: threading.Event | None = None) -> T:
    """Wait until a condition holds; returns what it gives. Raises TimeoutError that names what did not come.

    woken_by: is set by the thread that brings it. Without one it is another program's doing that nobody tells of (a
    port in JACK's list, a line in a log) and is looked at fifty times a second.
    """
    woken, deadline_s = woken_by or threading.Event(), time.monotonic() + PATIENCE_S
    while True:
        woken.clear()
        if found := there():
            return found
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{what} did not come")
        woken.wait(left_s if woken_by else LOOK_S)
