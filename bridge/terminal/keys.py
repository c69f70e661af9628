"""Keys while it plays: single presses on the terminal, turned into what the control surface understands.

The table below is what the keys do, what `?` shows and what docs/LIVE.md lists.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from engines.errors import SidemanError
from engines.parameter import Value

TEMPO_STEP_BPM = 2.0
DENSITY_STEP = 0.1
LINE_WIDTH = 76
DENSITY_MIDDLE = 0.5
"""Where density starts from when it was the model's own choice."""

Action = Literal[
    "fill",
    "again",
    "vary",
    "undo",
    "hold",
    "mute",
    "denser",
    "sparser",
    "free",
    "faster",
    "slower",
    "tap",
    "play",
    "panic",
    "quit",
    "help",
]


@dataclass(frozen=True, slots=True)
class Key:
    """A key: the bytes a terminal sends for it (any of them), its name for people, what it does."""

    sends: tuple[bytes, ...]
    name: str
    action: Action
    help: str


KEYS = (
    Key((b"f",), "f", "fill", "a fill, from the next beat"),
    Key((b"a",), "a", "again", "this bar once more"),
    Key((b"v",), "v", "vary", "something other than what would come"),
    Key((b"u",), "u", "undo", "as if the last wish had not been"),
    Key((b"h",), "h", "hold", "loop this bar, or go on"),
    Key((b"\x1b[A", b"\x1bOA", b"]"), "↑", "denser", "busier"),
    Key((b"\x1b[B", b"\x1bOB", b"["), "↓", "sparser", "sparser"),
    Key((b"d",), "d", "free", "as busy as the model likes"),
    Key((b"\x1b[C", b"\x1bOC", b"+", b"="), "→", "faster", "faster"),
    Key((b"\x1b[D", b"\x1bOD", b"-"), "←", "slower", "slower"),
    Key((b"t",), "t", "tap", "tap the tempo"),
    Key((b"m",), "m", "mute", "mute, or unmute"),
    Key((b" ",), "space", "play", "stop, or go on"),
    Key((b"p",), "p", "panic", "end every note"),
    Key((b"q", b"\x04"), "q", "quit", "quit"),
    Key((b"?",), "?", "help", "these keys"),
)


ARROWS = {b"H": b"\x1b[A", b"P": b"\x1b[B", b"M": b"\x1b[C", b"K": b"\x1b[D"}
"""The second byte of an arrow key on Windows to what a terminal elsewhere sends."""


class Surface(Protocol):
    """The part of the control surface that keys need: values by address, and verbs."""

    def set(self, address: str, value: Value) -> None:
        """Set a value, or do a verb. Raises SidemanError."""
        ...

    def get(self, address: str) -> Value:
        """The value now. Raises SidemanError."""
        ...


class Keys:
    """Reads single keys from a terminal while it is started; the terminal is given back as it was.

    surface: what the keys act on; players: their names, the keys 1 to 9 choose among them
    say: shows a line; quit: ends the session; descriptor: the terminal's
    """

    def __init__(
        self,
        surface: Surface,
        players: tuple[str, ...],
        say: Callable[[str], None],
        quit: Callable[[], None],
        descriptor: int = 0,
    ) -> None:
        self._surface = surface
        self._players = players
        self._player = players[0]
        self._say = say
        self._quit = quit
        self._fd = descriptor
        self._before: list[Any] | None = None
        self._pending = b""

    def start(self) -> bool:
        """Take single keys from now on; False where there is no terminal, or it belongs to another job.

        Call `ready` whenever `fileno` can be read (on Windows, which cannot tell, often), and `close` at the end.
        """
        if not os.isatty(self._fd):
            return False
        if sys.platform == "win32":
            return True
        import termios
        import tty

        try:
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                return False  # in the background; reading would stop us
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
        except (OSError, termios.error):
            return False
        return True

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._fd

    def ready(self) -> bool:
        """Read what was typed and act on it; False once the terminal has gone."""
        if sys.platform == "win32":
            import msvcrt

            while msvcrt.kbhit():
                pressed = msvcrt.getch()
                arrow = ARROWS.get(msvcrt.getch()) if pressed in (b"\x00", b"\xe0") else None
                self.typed(arrow or pressed)
            return True
        try:
            data = os.read(self._fd, 1024)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self.typed(data)
        return True

    def typed(self, data: bytes) -> None:
        """Act on the bytes of one or more keys. An escape sequence may come in parts; an unknown one is skipped."""
        self._pending += data
        while self._pending:
            sequence, rest = _split(self._pending)
            if not sequence:
                return
            self._pending = rest
            self._press(sequence)

    def close(self) -> None:
        """Give the terminal back as it was."""
        if self._before is None:
            return
        import termios

        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
        self._before = None

    def _press(self, sequence: bytes) -> None:
        if sequence.isdigit() and 1 <= int(sequence) <= len(self._players):
            self._player = self._players[int(sequence) - 1]
            self._say(f"keys play {self._player}")
            return
        key = next((key for key in KEYS if sequence in key.sends), None)
        if key is None:
            return
        try:
            self._act(key.action)
        except SidemanError as error:
            self._say(str(error))

    def _act(self, action: Action) -> None:
        player = f"/sideman/{self._player}"
        if action in ("fill", "again", "vary", "undo"):
            self._surface.set(f"{player}/{action}", 1)
        elif action in ("hold", "mute"):
            self._turn(f"{player}/{action}", not self._surface.get(f"{player}/{action}"))
        elif action in ("denser", "sparser"):
            self._density(f"{player}/density", DENSITY_STEP if action == "denser" else -DENSITY_STEP)
        elif action == "free":
            self._turn(f"{player}/density", -1.0)
        elif action in ("faster", "slower"):
            step = TEMPO_STEP_BPM if action == "faster" else -TEMPO_STEP_BPM
            tempo = float(self._surface.get("/sideman/transport/tempo")) + step
            self._turn("/sideman/transport/tempo", min(max(tempo, 20.0), 999.0))
        elif action == "tap":
            self._surface.set("/sideman/transport/tap", 1)
        elif action == "play":
            playing = self._surface.get("/sideman/transport/playing")
            self._turn("/sideman/transport/playing", not playing)
        elif action == "panic":
            self._surface.set("/sideman/system/panic", 1)
        elif action == "help":
            for line in help_lines(self._players):
                self._say(line)
        else:
            self._quit()

    def _density(self, address: str, step: float) -> None:
        """Below 0 the density is the model's own choice; from there it starts in the middle."""
        now = float(self._surface.get(address))
        self._turn(address, round(min(max((DENSITY_MIDDLE if now < 0.0 else now) + step, 0.0), 1.0), 2))

    def _turn(self, address: str, value: Value) -> None:
        value = int(value) if isinstance(value, bool) else value
        self._surface.set(address, value)
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        self._say(f"{address.removeprefix('/sideman/').replace('/', ' ')} {shown}")


def help_lines(players: tuple[str, ...] = ()) -> list[str]:
    """What the keys do, in lines that fit a terminal."""
    texts = [f"{key.name} {key.help}" for key in KEYS]
    if len(players) > 1:
        texts.append(f"1-{min(len(players), 9)} choose among {', '.join(players)}")
    lines = [texts[0]]
    for text in texts[1:]:
        if len(lines[-1]) + len(text) < LINE_WIDTH:
            lines[-1] += f" · {text}"
        else:
            lines.append(text)
    return lines


def _split(data: bytes) -> tuple[bytes, bytes]:
    """The first key of what was typed, and the rest; an empty key if it is an escape sequence still under way."""
    if not data.startswith(b"\x1b"):
        return data[:1], data[1:]
    if len(data) == 1:
        return b"", data
    if data[1:2] not in (b"[", b"O"):
        return data[:1], data[1:]  # the Escape key itself
    end = next((i for i in range(2, len(data)) if 0x40 <= data[i] <= 0x7E), None)
    if end is None:
        return (b"", data) if len(data) < 16 else (data, b"")
    return data[: end + 1], data[end + 1 :]
