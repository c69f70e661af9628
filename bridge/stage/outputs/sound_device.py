"""A sound device as the stage has it: the desk, and the process that plays it; another one when that has gone."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

from bridge.channel import Channel, ChannelClosedError, inherited_by, module_command, pair
from bridge.messages.message import Message, Trouble
from bridge.messages.sound import DeviceReady, DeviceSetup, DeviceWired, FromDevice, StripAdded
from bridge.messages.stage import Connections, PortChanged
from bridge.sound.ahead import guard_frames, ready_frames
from bridge.sound.desk import CALLBACKS, STRIPS, Desk
from engines.errors import SidemanError

RETRY_NS = 5_000_000_000
PATIENCE_S = 0.3
"""For a process that is to leave by itself."""

START_S = 10.0
"""How long a device may take to be opened when the stage is set up."""

HANGS_NS = 4_000_000_000
"""A process whose device has not asked for frames for so long, and that has not left by itself, is ended."""

HOP_NS = 4_000_000
"""For the way to the renderer, and for what it renders again there."""

LEAD_MAX_NS = 100_000_000
"""The stage looks ahead no further; a device that is slower than that plays everything later, evenly."""


class SoundDevice:
    """A device that the players of a rack share.

    present: whether it plays now; openings: how often it has been opened; clients have to start again at each.
    """

    def __init__(self, device: str, client_name: str, reconnect: dict[str, tuple[str, ...]]) -> None:
        self._device = device
        self._client_name = client_name
        self._wires = dict(reconnect)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._leavers = Leavers()
        self._strips: list[str] = []
        self._trouble = ""
        self._lost = False
        self._next_try_ns = 0
        self._news: list[Message] = []
        self._latency_ns = 0
        self._callbacks = -1
        self._called_ns = 0
        self.name = {"": "the default sound device", "jack": "JACK"}.get(device, device)
        self.desk: Desk | None = None
        self.present = False
        self.openings = 0

    def start(self) -> str:
        """Open the device if it is not open yet, and return its name.

        Raises SidemanError when there is none.
        """
        if self.present:
            return self.name
        self._spawn()
        while self._channel and not self.present and self._channel.wait(START_S):
            self._take_in()
        if not self.present:
            trouble = self._trouble or f"{self.name} does not answer"
            self.close()
            raise SidemanError(trouble)
        return self.name

    def shared_desk(self) -> Desk:
        """The desk, from when it is first wanted."""
        if self.desk is None:
            self.desk = Desk.create()
        return self.desk

    def add(self, player: str) -> int:
        """A strip for a player; its number. Raises SidemanError when there are too many."""
        if len(self._strips) == STRIPS:
            raise SidemanError(f"{player}: {self.name} takes {STRIPS} players and no more")
        self._strips.append(player)
        if self._channel:
            with contextlib.suppress(ChannelClosedError):
                self._channel.send(StripAdded(len(self._strips) - 1, player))
        return len(self._strips) - 1

    def needs_ns(self, rewinds: bool) -> int:
        """How long before it is heard a note has to leave the stage, for an instrument that can go back or cannot."""
        desk = self.desk
        if desk is None or not desk.rate:
            return LEAD_MAX_NS
        ready = guard_frames if rewinds else ready_frames
        frames = desk.block + ready(desk.rate, desk.block)
        return self._latency_ns + frames * 1_000_000_000 // desk.rate + HOP_NS

    @property
    def own_ns(self) -> int:
        """How long it takes itself: from its callback until a frame is heard, and the block that it takes at once."""
        desk = self.desk
        return self._latency_ns + (desk.block * 1_000_000_000 // desk.rate if desk and desk.rate else 0)

    def poll(self, now_ns: int) -> list[Message]:
        """See whether it lives; open it again now and then if it does not. Each piece of news is told once."""
        was_present = self.present
        self._leavers.look()
        self._take_in()
        if self.present and self._hangs(now_ns):
            self._drop()
        if was_present and not self.present:
            self._lost = True
            self._next_try_ns = now_ns + RETRY_NS
            self._news.append(PortChanged(self.name, False, f"sound device {self.name} is gone; waiting for it"))
        elif self._lost and self.present:
            self._lost = False
            self._news.append(PortChanged(self.name, True, f"sound device {self.name} is back"))
        elif self._lost and not self._channel and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + RETRY_NS
            self._spawn()
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Let it fade out and leave. May be called twice."""
        self._drop()
        self._leavers.wait()
        desk, self.desk = self.desk, None
        if desk:
            desk.close()

    def _hangs(self, now_ns: int) -> bool:
        callbacks = self.desk.words[CALLBACKS] if self.desk else 0
        if callbacks != self._callbacks:
            self._callbacks, self._called_ns = callbacks, now_ns
        return now_ns - self._called_ns > HANGS_NS

    def _spawn(self) -> None:
        desk = self.shared_desk()
        desk.reset()
        mine, theirs = pair()
        accepts: Any = FromDevice
        with theirs:
            self._process = subprocess.Popen(
                [*module_command("bridge.sound.device", theirs.fileno()), desk.handle],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # ALSA and JACK chatter there
                **inheriting(theirs, desk),
            )
        self._channel = Channel(mine, accepts)
        self._trouble = ""
        self._channel.send(DeviceSetup(self._device, self._client_name, self._wires))

    def _take_in(self) -> None:
        if not self._channel:
            return
        try:
            for message in self._channel.receive():
                match message:
                    case DeviceReady():
                        self.name, self._latency_ns = message.device, message.latency_ns
                        self.present = True
                        self.openings += 1
                        for index, player in enumerate(self._strips):
                            self._channel.send(StripAdded(index, player))
                    case DeviceWired():
                        self._wires.update(message.ports)
                        self._news.append(Connections(message.ports))
                    case Trouble():
                        self._trouble = message.text
            self._channel.flush()
        except ChannelClosedError:
            self._drop()

    def _drop(self) -> None:
        self.present = False
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel:
            channel.close()
        self._leavers.add(process)


def inheriting(theirs: Any, desk: Desk) -> dict[str, Any]:
    """The arguments of Popen with which a child inherits an end of a channel and the desk."""
    arguments = inherited_by(theirs)
    if sys.platform != "win32":
        arguments["pass_fds"] = [*arguments["pass_fds"], desk.descriptor]
    return arguments


class Leavers:
    """Processes whose channels have been closed: they have a moment to leave by themselves. Only `wait` waits."""

    def __init__(self) -> None:
        self._processes: list[tuple[subprocess.Popen[bytes], float]] = []

    def add(self, process: subprocess.Popen[bytes] | None) -> None:
        """One more."""
        if process:
            self._processes.append((process, time.monotonic() + PATIENCE_S))

    def look(self) -> None:
        """Forget who has left; end who has not in time."""
        for process, until_s in self._processes:
            if time.monotonic() > until_s:
                process.kill()
        self._processes = [(process, until_s) for process, until_s in self._processes if process.poll() is None]

    def wait(self) -> None:
        """Wait for all."""
        for process, until_s in self._processes:
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
