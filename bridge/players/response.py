"""Response: how long it takes from a parameter's being turned until the first sound that was made with it."""

from __future__ import annotations

from collections import deque
from statistics import median

from bridge.messages.stage import Outcome

TIMES_KEPT = 1024
PENDING_MAX = 1024
"""Changes that are waited for: a slider that is moved without end is measured by its first thousand."""


class Response:
    """The changes of one player's engine parameters, counted, and the times that they took.

    count: changes so far; later_ns: how much later than its tick the player's output is heard
    """

    def __init__(self) -> None:
        self.count = 0
        self.later_ns = 0
        self.heard = 0
        self.worst_s = 0.0
        self._pending: deque[tuple[int, int]] = deque(maxlen=PENDING_MAX)  # count, when it came
        self._times_s: deque[float] = deque(maxlen=TIMES_KEPT)

    def turned(self, at_ns: int) -> None:
        """A parameter was changed at a moment, while the player plays."""
        self.count += 1
        if len(self._pending) < PENDING_MAX:
            self._pending.append((self.count, at_ns))

    def began(self, outcome: Outcome, count: int, at_ns: int) -> None:
        """A bar begins to sound at a moment; `count`: with how many changes it was made, if it was."""
        if outcome in ("hold", "listen"):
            self.forget()  # nothing new is made for now
        elif outcome in ("hit", "cut"):
            self._sounds(count, at_ns)

    def _sounds(self, count: int, at_ns: int) -> None:
        while self._pending and self._pending[0][0] <= count:
            took_s = (at_ns + self.later_ns - self._pending.popleft()[1]) / 1e9
            self._times_s.append(took_s)
            self.heard += 1
            self.worst_s = max(self.worst_s, took_s)

    def said(self) -> str:
        """The same for people; "" if nothing was turned."""
        _, middle_ms, worst_ms, changes = self.figures_ms()
        counted = f"{changes} change{'' if changes == 1 else 's'}"
        return f"fader to sound {middle_ms:.0f} ms median, {worst_ms:.0f} ms at worst ({counted})" if changes else ""

    def forget(self) -> None:
        """What was changed and has not been heard will not be: nothing plays."""
        self._pending.clear()

    def figures_ms(self) -> tuple[float, float, float, int]:
        """Last, median (of the last thousand) and worst time in ms, and of how many changes; zeros before the first."""
        if not self._times_s:
            return (0.0, 0.0, 0.0, 0)
        return (self._times_s[-1] * 1e3, median(self._times_s) * 1e3, self.worst_s * 1e3, self.heard)
