"""The `audio` output: a player heard on this machine's sound device, through the monitor process."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

from bridge.channel import Channel, ChannelClosedError, inherited_by, module_command, pair
from bridge.messages.message import Message, Trouble
from bridge.messages.sound import FromMonitor, MonitorNote, MonitorReady, MonitorSetup, MonitorSilence
from bridge.messages.stage import Event, PlayerSetup, PortChanged
from bridge.stage.outputs.output import Rack
from engines.errors import SidemanError

LEAD_NS = 70_000_000
"""Covers the latency of most sound devices, so that what is heard falls together with the MIDI."""

RETRY_NS = 5_000_000_000
START_S = 10.0
"""How long a monitor may take to open its device when the stage is set up."""


UNHEARD = "unheard"
"""The target for the default device, silent while the player's MIDI goes to something (`sideman live`'s own choice)."""


class AudioOutput:
    """Sends a player's notes to the monitor. Players with the same device share one."""

    lead_ns = LEAD_NS

    def __init__(self, player: PlayerSetup, target: str, rack: Rack) -> None:
        self._player = player.name
        self._unheard = target == UNHEARD
        self._target = "" if self._unheard else target
        self._rack = rack
        self._monitor: Monitor | None = None

    def open(self) -> str:
        """Start the monitor, or join it. Raises SidemanError when there is no sound device."""
        self._monitor = self._rack.shared(f"monitor {self._target}", Monitor, lambda: Monitor(self._target))
        until = ", until something is connected to its MIDI" if self._unheard else ""
        return f"sound: {self._player} on {self._monitor.start()}{until}"

    def send(self, event: Event) -> None:
        """Hand a note to the monitor."""
        if self._unheard and event.velocity and self._player in self._rack.heard:
            return
        if self._monitor:
            self._monitor.say(MonitorNote(event.pitch, event.velocity, event.channel, event.at_ns))

    def panic(self) -> None:
        """Fade everything out."""
        if self._monitor:
            self._monitor.say(MonitorSilence())

    def poll(self, now_ns: int) -> list[Message]:
        """Whether the device went, or is back."""
        return self._monitor.poll(now_ns) if self._monitor else []

    def close(self) -> None:
        """The rack closes the monitor."""
        self._monitor = None


class Monitor:
    """A monitor process, and another when it has gone."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._name = device or "the default sound device"
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._ready = False
        self._trouble = ""
        self._lost = False
        self._next_try_ns = 0

    def start(self) -> str:
        """Start the process if it does not run yet, wait for its device, and return that's name.

        Raises SidemanError when there is none.
        """
        if self._ready:
            return self._name
        self._spawn()
        channel = self._channel
        if channel:
            channel.wait(START_S)
            self._take_in()
        if not self._ready:
            trouble = self._trouble or f"{self._name} does not answer"
            self.close()
            raise SidemanError(trouble)
        return self._name

    def say(self, message: MonitorNote | MonitorSilence) -> None:
        """Tell the monitor; while it is away, nobody."""
        if self._channel and self._ready:
            with contextlib.suppress(ChannelClosedError):
                self._channel.send(message)

    def poll(self, now_ns: int) -> list[Message]:
        """See whether the monitor lives; start another now and then if it does not."""
        was_ready = self._ready
        alive = self._take_in()
        if was_ready and not alive:
            self._lost = True
            self._next_try_ns = now_ns + RETRY_NS
            return [PortChanged(self._name, False, f"sound device {self._name} is gone; waiting for it")]
        if self._lost and self._ready:
            self._lost = False
            return [PortChanged(self._name, True, f"sound device {self._name} is back")]
        if self._lost and not self._channel and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + RETRY_NS
            self._spawn()
        return []

    def close(self) -> None:
        """Let the monitor fade out and leave."""
        self._drop()

    def _spawn(self) -> None:
        mine, theirs = pair()
        accepts: Any = FromMonitor
        with theirs:
            self._process = subprocess.Popen(
                module_command("bridge.stage.outputs.monitor", theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # ALSA and JACK chatter there
                **inherited_by(theirs),
            )
        self._channel = Channel(mine, accepts)
        self._trouble = ""
        self._channel.send(MonitorSetup(self._device, LEAD_NS))

    def _take_in(self) -> bool:
        """Read what the monitor says; False once it has gone."""
        if not self._channel:
            return False
        try:
            for message in self._channel.receive():
                if isinstance(message, MonitorReady):
                    self._ready = True
                    self._name = message.device
                elif isinstance(message, Trouble):
                    self._trouble = message.text
            self._channel.flush()
        except ChannelClosedError:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        self._ready = False
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel:
            channel.close()
        if process:
            try:
                process.wait(0.3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
