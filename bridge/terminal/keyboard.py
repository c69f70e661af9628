"""The keyboard in the daemon's loop: keys are read as they come."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from bridge.terminal.keys import Keys, Surface

LOOK_S = 0.05
"""Windows' select knows sockets only, so there the keyboard is looked at now and then."""


class Keyboard:
    """Takes keys from the terminal, where there is one."""

    def __init__(
        self, surface: Surface, players: tuple[str, ...], say: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        self._keys = Keys(surface, players, say, leave)
        self._open = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read keys from now on."""
        if not self._keys.start():
            return
        self._open = True
        if sys.platform == "win32":
            self._look()
        else:
            asyncio.get_running_loop().add_reader(self._keys.fileno(), self._ready)

    def close(self) -> None:
        """Leave the terminal as it was. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._keys.fileno())
            self._keys.close()

    def _look(self) -> None:
        self._ready()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _ready(self) -> None:
        if not self._keys.ready():
            asyncio.get_running_loop().remove_reader(self._keys.fileno())
