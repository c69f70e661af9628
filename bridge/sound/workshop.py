"""The workshop: a renderer's way to its preparer, which is started when there is something to prepare.

Until that is up, a loop that is short and needs no stretching is made ready here: the first bar does not wait.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bridge.channel import Channel, ChannelClosedError, inherited_by, module_command, pair
from bridge.messages.sound import FromPreparer, NotPrepared, Prepare, Prepared
from bridge.sound.prepare import prepared, take_of
from bridge.sound.takes import Take, Want
from engines.errors import SidemanError

SHORT_S = 12.0
"""Takes some milliseconds to resample."""

STARTS_MAX = 5
"""A preparer that dies more often than so is not started again."""


class Workshop:
    """Asks for takes of loops at a rate, and fetches them."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.channel: Channel | None = None
        self._asked: dict[int, Want] = {}
        self._count = 0
        self._starts = 0
        self._up = False
        self._made: list[tuple[Want, Take | None, str]] = []

    def ask(self, want: Want) -> None:
        """Have a take made."""
        if self.channel is None and not self._start():
            return
        loop = want.loop
        if not self._up and want.tempo_mbpm == loop.tempo_mbpm and loop.frames <= SHORT_S * loop.rate:
            self._make(want)
            return
        self._count += 1
        self._asked[self._count] = want
        with contextlib.suppress(ChannelClosedError):
            if self.channel:
                self.channel.send(
                    Prepare(
                        self._count, want.loop, want.tempo_mbpm, want.from_tick, self._rate, self._into(self._count)
                    )
                )

    def fetch(self) -> tuple[list[tuple[Want, Take | None, str]], bool]:
        """What was made: the take, or why there is none; and whether the preparer has died, and all else is lost."""
        found, self._made = self._made, []
        if self.channel is None:
            return found, False
        try:
            for message in self.channel.receive():
                self._up = True
                want = self._asked.pop(message.id, None)
                if want is None:
                    continue
                if isinstance(message, Prepared):
                    found.append((want, self._take(message.id, want), ""))
                elif isinstance(message, NotPrepared):
                    found.append((want, None, message.text))
            self.channel.flush()
        except ChannelClosedError:
            # what it was making may be what killed it
            first = next(iter(self._asked.values()), None)
            if first:
                found.append((first, None, f"{first.loop.path}: what prepares it has died"))
            self.close()
            return found, True
        return found, False

    def close(self) -> None:
        """End the preparer. May be called twice."""
        channel, self.channel = self.channel, None
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        self._asked.clear()
        self._up = False
        if channel:
            channel.close()
        if process:
            process.kill()
            process.wait()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self) -> bool:
        if self._starts >= STARTS_MAX:
            return False
        self._starts += 1
        self._folder = Path(tempfile.mkdtemp(prefix="sideman-loops-"))
        mine, theirs = pair()
        with theirs:
            self._process = subprocess.Popen(
                module_command("bridge.sound.preparer", theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **inherited_by(theirs),
            )
        self.channel = Channel(mine, FromPreparer)
        return True

    def _make(self, want: Want) -> None:
        try:
            self._made.append((want, take_of(prepared(want, self._rate), want, self._rate), ""))
        except SidemanError as error:
            self._made.append((want, None, str(error)))

    def _take(self, number: int, want: Want) -> Take | None:
        path = Path(self._into(number))
        try:
            frames = np.fromfile(path, np.float32).reshape(-1, 2)
            path.unlink()
        except (OSError, ValueError):
            return None
        return take_of(frames, want, self._rate)

    def _into(self, number: int) -> str:
        return str((self._folder or Path()) / f"{number}.raw")
